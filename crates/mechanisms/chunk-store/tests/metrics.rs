//! What an operator sees of hits, damage and healing.

mod support;

use metrics_exporter_prometheus::PrometheusBuilder;
use support::{Fixture, account, file_of, whole};

/// One test: there is one recorder in a process.
#[tokio::test(flavor = "multi_thread")]
async fn damage_and_where_reads_were_served_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let recorded = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    hearth_chunk_store::register_metrics();
    let assert_counted = |line: &str| {
        let text = recorded.render();
        assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
    };
    assert_counted("hearth_chunks_corrupt_total{level=\"disk\"} 0");

    let fixture = Fixture::new();
    let bytes = file_of(&(1..=100).collect::<Vec<_>>());
    let id = fixture.store().await.write(&account(1), bytes.clone()).await.unwrap().id;
    assert_counted("hearth_chunks_written_total{origin=\"new\"} 1");
    for file in std::fs::read_dir(fixture.cache()).unwrap() {
        std::fs::write(file.unwrap().path(), b"damaged").unwrap();
    }
    let store = fixture.store().await;
    let file = store.open(&account(1), &id).await.unwrap();
    assert!(whole(&file).await == bytes && whole(&file).await == bytes);
    assert_counted("hearth_chunks_corrupt_total{level=\"disk\"} 2");
    assert_counted("hearth_chunks_healed_total{level=\"disk\"} 2");
    assert_counted("hearth_chunks_reads_total{level=\"disk\",outcome=\"miss\"} 2");
    assert_counted("hearth_chunks_reads_total{level=\"origin\",outcome=\"hit\"} 2");
    assert_counted("hearth_chunks_reads_total{level=\"memory\",outcome=\"miss\"} 1");
    assert_counted("hearth_chunks_reads_total{level=\"memory\",outcome=\"hit\"} 1");

    for (path, _) in fixture.origin.objects().await {
        fixture.origin.put(&path, b"damaged".as_slice().into()).await;
    }
    std::fs::remove_dir_all(fixture.cache()).unwrap();
    assert!(fixture.store().await.open(&account(1), &id).await.is_err());
    assert_counted("hearth_chunks_corrupt_total{level=\"origin\"} 1");
}
