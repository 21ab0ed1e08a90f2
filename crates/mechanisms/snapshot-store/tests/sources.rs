//! Stored files, packs and plain files as a page server reads them.

mod support;

use hearth_page_server::{SourceRef, Sources};
use hearth_snapshot_store::{ChunkSources, Reference, WorkingSetOf};
use std::io::Write;
use support::{Fixture, captured, chunks_in, function, layer, pages};

const PAGES: u32 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_read_by_offset_and_a_pack_in_its_order() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let memory = pages((0..PAGES).map(|page| page * u32::from(page % 10 != 0)));
    let saved = store.save(function(1), captured(&memory, None)).await.unwrap();
    // Neighbours, backwards, and more than a chunk of them.
    let order: Vec<u32> = (200..260).chain((0..150).rev()).collect();
    let set = WorkingSetOf { pages: order.clone(), recordings: 1 };
    let saved = store.learn(&saved, &set).await.unwrap();
    let pack = saved.pack.as_ref().unwrap();
    let owner = saved.name.owner();

    // As another process, which is told by these references only.
    let sources = ChunkSources(chunks_in(fixture.path()).await);
    let stored = Reference::Stored(owner.clone(), saved.memory.id()).encode();
    let stored = sources.open(&stored).await.unwrap();
    assert_eq!(stored.size(), memory.len() as u64);
    assert!(stored.read_at(0, memory.len()).await.unwrap() == memory);
    assert!(stored.read_at(5000, 10).await.unwrap() == memory[5000..5010]);
    assert_eq!(stored.next_data(0), Some(4096..10 * 4096));
    assert_eq!(stored.next_data(290 * 4096), Some(291 * 4096..300 * 4096));
    assert_eq!(stored.next_data(memory.len() as u64), None);

    let packed = Reference::Pack(owner, pack.file().id()).encode();
    let packed = sources.open(&packed).await.unwrap();
    let order: Vec<u32> = order.into_iter().filter(|page| page % 10 != 0).collect();
    assert_eq!(pack.pages().iter().map(|page| page.0).collect::<Vec<_>>(), order);
    let expected = pages(order);
    assert_eq!(packed.size(), expected.len() as u64);
    assert!(packed.read_at(0, expected.len()).await.unwrap() == expected);
    assert!(packed.read_at(4000, 5000).await.unwrap() == expected[4000..9000]);
    assert_eq!(packed.next_data(100), Some(100..packed.size()), "it has no holes");
    assert_eq!(packed.next_data(packed.size()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_file_is_read_as_it_is() {
    let fixture = Fixture::new();
    let path = fixture.path().join("image");
    std::fs::File::create(&path).unwrap().write_all(&pages([1, 2])).unwrap();
    let sources = ChunkSources(chunks_in(fixture.path()).await);
    let source = sources.open(&Reference::Local(path).encode()).await.unwrap();
    assert!(source.read_at(0, 8192).await.unwrap() == pages([1, 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_leads_nowhere_says_why() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let saved = store.save(function(1), captured(&pages([1]), None)).await.unwrap();
    let sources = ChunkSources(chunks_in(fixture.path()).await);
    let refused = |reference: SourceRef| {
        let sources = &sources;
        async move { sources.open(&reference).await.err().expect("it is refused").to_string() }
    };
    let memory = saved.memory.id();
    for owner in [function(2).owner(), layer("os").owner()] {
        let error = refused(Reference::Stored(owner, memory).encode()).await;
        assert!(error.contains(&memory.to_string()), "{error}");
    }
    let missing = "0".repeat(64).parse().unwrap();
    let error = refused(Reference::Pack(saved.name.owner(), missing).encode()).await;
    assert!(error.contains("0000"), "{error}");
    refused(Reference::Local("/does/not/exist".into()).encode()).await;
    refused(SourceRef(b"nonsense".to_vec())).await;
}
