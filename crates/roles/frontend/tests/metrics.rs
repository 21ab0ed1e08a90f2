//! What the front end records of invokes and refusals. Alone in its process,
//! because a recorder is installed for all of it.

mod support;

use metrics_exporter_prometheus::PrometheusBuilder;
use support::client::send;
use support::{ALICE, Stage};

#[tokio::test]
async fn invokes_and_refusals_are_counted() {
    let recorder = PrometheusBuilder::new().set_buckets(&[60.0]).unwrap().build_recorder();
    let recorded = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    hearth_frontend::register_metrics();

    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    for (name, handler) in
        [("hello", "echo.it"), ("bad", "handler.error"), ("full", "full.account")]
    {
        assert_eq!(alice.create(name, handler).await.status, 201);
    }
    for (name, status) in
        [("hello", 200), ("hello", 200), ("hello", 200), ("bad", 200), ("full", 429)]
    {
        assert_eq!(alice.invoke(name, "{}").await.status, status, "{name}");
    }
    let mut forged = alice.signed("GET", "/2015-03-31/functions", &[], "".into());
    *forged.uri_mut() = "/2015-03-31/functions?MaxItems=7".parse().unwrap();
    assert_eq!(send(stage.address, forged).await.status, 403);

    let text = recorded.render();
    for line in [
        r#"hearth_frontend_invokes_total{start="cold",outcome="answered"} 1"#,
        r#"hearth_frontend_invokes_total{start="warm",outcome="answered"} 2"#,
        r#"hearth_frontend_invokes_total{start="cold",outcome="function_error"} 1"#,
        r#"hearth_frontend_invoke_seconds_count{start="warm"} 2"#,
        r#"hearth_frontend_invoke_overhead_seconds_count{start="warm"} 2"#,
        r#"hearth_frontend_invoke_stage_seconds_count{stage="assign"} 4"#,
        // No sandbox of these fakes was booted.
        r#"hearth_frontend_invoke_stage_seconds_count{stage="resume"} 0"#,
        r#"hearth_frontend_throttles_total{reason="account_concurrency"} 1"#,
        r#"hearth_frontend_errors_total{code="TooManyRequestsException"} 1"#,
        r#"hearth_frontend_signature_refusals_total{reason="invalid"} 1"#,
        r#"hearth_frontend_signature_refusals_total{reason="missing"} 0"#,
    ] {
        assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
    }
}
