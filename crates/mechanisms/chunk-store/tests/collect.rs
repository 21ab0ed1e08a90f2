//! Collections: what is dead goes, what is live or in use stays.

mod support;

use hearth_chunk_store::{
    ChunkStore, CollectError, Collected, ManifestId, OpenError, Owner, ReadError,
};
use object_store::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use support::{Fixture, PLENTY, account, file_of, layer, roots, whole};
use tokio::sync::Semaphore;

fn pages(first: u32) -> Vec<u8> {
    file_of(&(first..first + 130).collect::<Vec<_>>())
}

async fn write(store: &ChunkStore, first: u32) -> ManifestId {
    store.write(&account(1), pages(first)).await.unwrap().id
}

async fn collect(store: &ChunkStore, live: &[ManifestId]) -> Collected {
    store.collect(roots(live.iter().map(|id| (account(1), *id)))).await.unwrap()
}

async fn read(store: &ChunkStore, owner: &Owner, id: &ManifestId) -> Vec<u8> {
    whole(&store.open(owner, id).await.unwrap()).await
}

fn is_missing<T>(opened: Result<T, OpenError>) -> bool {
    matches!(opened, Err(OpenError::Manifest(_, ReadError::Missing(_))))
}

/// Waits for what the store does by itself.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_when_it_was_no_root_twice() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let (kept, dead) = (write(&store, 1).await, write(&store, 1000).await);
    assert_eq!(collect(&store, &[kept, dead]).await.manifests_swept, 0);
    let retired = collect(&store, &[kept]).await;
    assert_eq!((retired.manifests_swept, retired.chunks_live), (0, 4), "retired");
    assert_eq!((retired.chunks_waiting, retired.bytes_waiting > 130 * 4096), (2, true));
    assert_eq!(read(&store, &account(1), &dead).await, pages(1000));
    // Across a restart, too.
    let store = fixture.store().await;
    let swept = collect(&store, &[kept]).await;
    assert_eq!((swept.manifests_swept, swept.chunks_swept, swept.chunks_live), (1, 2, 2));
    assert_eq!((swept.chunks_waiting, swept.bytes_waiting), (0, 0));
    assert!(is_missing(store.open(&account(1), &dead).await));
    assert_eq!(read(&store, &account(1), &kept).await, pages(1));
    assert_eq!(
        (fixture.origin.count("chunks").await, fixture.origin.count("manifests").await),
        (2, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_child_needs_of_its_parent_outlives_the_parent() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let parent = store.write(&layer(), pages(1)).await.unwrap();
    let mut bytes = pages(1);
    // The second chunk's pages are no longer needed.
    bytes[128 * 4096..].fill(9);
    let child = store.write_layer(&account(1), bytes.clone(), &parent.file).await.unwrap().id;
    drop(parent);
    let swept = collect(&store, &[child]).await;
    assert_eq!((swept.manifests_swept, swept.chunks_swept), (1, 1));
    assert!(read(&fixture.store().await, &account(1), &child).await == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_closed_or_stored_while_roots_are_found_out_stays_however_young() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let before = store.write(&account(1), pages(1)).await.unwrap();
    let hold = store.hold();
    // The roots are read now, and only then are the files named.
    let meanwhile = write(&store, 1000).await;
    let id = before.id;
    drop(before);
    for _ in 0..2 {
        assert_eq!(collect(&store, &[]).await.manifests_swept, 0);
    }
    assert_eq!(read(&fixture.store().await, &account(1), &id).await, pages(1));
    assert_eq!(read(&fixture.store().await, &account(1), &meanwhile).await, pages(1000));
    drop(hold);
    assert_eq!(collect(&store, &[id]).await.manifests_swept, 1);
    assert_eq!(read(&fixture.store().await, &account(1), &id).await, pages(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_file_stays_readable_as_long_as_a_clone_is_held() {
    let mut fixture = Fixture::new();
    fixture.options.disk = None;
    fixture.options.memory_bytes = 0;
    let store = fixture.store().await;
    let id = write(&store, 1).await;
    let file = store.open(&account(1), &id).await.unwrap().clone();
    for _ in 0..3 {
        collect(&store, &[]).await;
    }
    assert_eq!(whole(&file).await, pages(1));
    drop(file);
    assert_eq!(collect(&store, &[]).await.chunks_swept, 2);
    assert!(is_missing(store.open(&account(1), &id).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_written_within_the_grace_needs_no_root() {
    let mut fixture = Fixture::new();
    fixture.options.grace = Duration::from_secs(3600);
    let store = fixture.store().await;
    let parent = store.write(&layer(), pages(1)).await.unwrap();
    fixture.origin.age().await;
    let mut bytes = pages(1);
    bytes[128 * 4096..].fill(9);
    let child = store.write_layer(&account(1), bytes.clone(), &parent.file).await.unwrap().id;
    drop(parent);
    let swept = collect(&store, &[]).await;
    assert_eq!((swept.manifests_swept, swept.chunks_swept), (1, 1), "what the child needs not");
    assert_eq!((swept.chunks_live, swept.chunks_waiting), (2, 2), "young, and no root's");
    collect(&store, &[]).await;
    assert!(read(&fixture.store().await, &account(1), &child).await == bytes);
    fixture.options.grace = Duration::ZERO;
    let swept = collect(&fixture.store().await, &[]).await;
    assert_eq!((swept.manifests_swept, swept.chunks_swept), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_write_left_half_done_goes_after_the_grace() {
    let mut fixture = Fixture::new();
    fixture.options.grace = Duration::from_secs(3600);
    let store = fixture.store().await;
    let held = fixture.origin.manifest_gate.acquire_many(PLENTY as u32).await.unwrap();
    let writer = tokio::spawn({
        let store = store.clone();
        async move { write(&store, 1).await }
    });
    until(|| fixture.origin.manifest_puts.load(SeqCst) == 1).await;
    writer.abort();
    assert!(writer.await.unwrap_err().is_cancelled());
    drop(held);
    assert_eq!(collect(&store, &[]).await.chunks_swept, 0);
    fixture.origin.age().await;
    assert_eq!(collect(&store, &[]).await.chunks_swept, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_a_write_finds_old_is_made_young() {
    let mut fixture = Fixture::new();
    fixture.options.grace = Duration::from_secs(3600);
    let store = fixture.store().await;
    let written = async |puts| {
        write(&store, 1).await;
        assert_eq!(fixture.origin.chunk_puts.load(SeqCst), puts);
    };
    written(2).await;
    written(2).await;
    fixture.origin.age().await;
    written(4).await;
    written(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_a_write_found_stays_though_its_old_file_goes() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    write(&store, 1).await;
    // Another file with the same chunks and one more; its manifest is not stored yet.
    let held = fixture.origin.manifest_gate.acquire_many(PLENTY as u32).await.unwrap();
    let more = [pages(1), vec![0; 126 * 4096], pages(5000)].concat();
    let writer = tokio::spawn({
        let (store, more) = (store.clone(), more.clone());
        async move { store.write(&account(1), more).await.unwrap() }
    });
    until(|| fixture.origin.manifest_puts.load(SeqCst) == 2).await;
    let swept = collect(&store, &[]).await;
    assert_eq!((swept.manifests_swept, swept.chunks_swept), (1, 0));
    drop(held);
    let written = writer.await.unwrap();
    assert!(whole(&written.file).await == more);
    assert!(read(&fixture.store().await, &account(1), &written.id).await == more);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_meets_a_deletion_stores_again() {
    let mut fixture = Fixture::new();
    fixture.options.disk = None;
    let store = fixture.store().await;
    write(&store, 1).await;
    let held = fixture.origin.delete_gate.acquire_many(PLENTY as u32).await.unwrap();
    let collector = tokio::spawn({
        let store = store.clone();
        async move { collect(&store, &[]).await }
    });
    // The manifest's deletion, then both chunks'.
    until(|| fixture.origin.deletes.load(SeqCst) == 1).await;
    fixture.origin.delete_gate.add_permits(1);
    until(|| fixture.origin.deletes.load(SeqCst) == 3).await;
    let writer = tokio::spawn(async move { write(&store, 1).await });
    drop(held);
    collector.await.unwrap();
    let id = writer.await.unwrap();
    assert_eq!(read(&fixture.store().await, &account(1), &id).await, pages(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_being_opened_keeps_its_chunks() {
    let mut fixture = Fixture::new();
    fixture.options.disk = None;
    let store = fixture.store().await;
    let id = write(&store, 1).await;
    let held = Arc::new(Semaphore::new(0));
    *fixture.origin.hold_next_get.lock().unwrap() = Some(held.clone());
    let opener = tokio::spawn({
        let store = store.clone();
        async move { store.open(&account(1), &id).await.unwrap() }
    });
    until(|| fixture.origin.hold_next_get.lock().unwrap().is_none()).await;
    let swept = collect(&store, &[]).await;
    assert_eq!((swept.manifests_swept, swept.chunks_swept), (0, 0));
    held.add_permits(1);
    assert_eq!(whole(&opener.await.unwrap()).await, pages(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_about_to_go_cannot_be_opened() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let id = write(&store, 1).await;
    let held = fixture.origin.delete_gate.acquire_many(PLENTY as u32).await.unwrap();
    let collector = tokio::spawn({
        let store = store.clone();
        async move { collect(&store, &[]).await }
    });
    until(|| fixture.origin.deletes.load(SeqCst) == 1).await;
    assert!(is_missing(store.open(&account(1), &id).await), "though it is there");
    drop(held);
    assert_eq!(collector.await.unwrap().chunks_swept, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_cannot_be_read_stops_the_collection_before_it_deletes() {
    let mut fixture = Fixture::new();
    fixture.options.disk = None;
    let store = fixture.store().await;
    let (id, _dead) = (write(&store, 1).await, write(&store, 1000).await);
    let (path, good) = (fixture.origin.objects().await.into_iter())
        .find(|(path, _)| path.filename() == Some(&id.to_string()))
        .unwrap();
    fixture.origin.put(&path, b"damaged".as_slice().into()).await;
    let stopped = store.collect(roots([(account(1), id)])).await.unwrap_err();
    assert!(matches!(stopped, CollectError::Root(..)), "{stopped:?}");
    assert_eq!(fixture.origin.count("chunks").await, 4);
    fixture.origin.put(&path, good).await;
    assert_eq!(collect(&store, &[id]).await.chunks_swept, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_last_generation_a_collection_deletes_nothing() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let (kept, _dead) = (write(&store, 1).await, write(&store, 1000).await);
    let record = Path::from("generation");
    for at in [0, 40] {
        collect(&store, &[kept]).await;
        let dead = write(&store, 2000).await;
        let objects = fixture.origin.objects().await;
        let mut bytes = objects.into_iter().find(|(path, _)| *path == record).unwrap().1.to_vec();
        bytes[at] ^= 1;
        fixture.origin.put(&record, bytes.into()).await;
        let stopped = store.collect(roots([(account(1), kept)])).await.unwrap_err();
        assert!(matches!(stopped, CollectError::Record), "{stopped:?}");
        assert_eq!(read(&store, &account(1), &dead).await, pages(2000));
    }
    assert_eq!(collect(&store, &[kept]).await.manifests_swept, 1);
    assert_eq!(read(&store, &account(1), &kept).await, pages(1));
}
