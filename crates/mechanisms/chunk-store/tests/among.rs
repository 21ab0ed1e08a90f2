//! Collections at an origin that two processes use: one collects, and knows of the other
//! only what that one wrote down.

mod support;

use hearth_ambient::clock;
use hearth_chunk_store::{ChunkStore, CollectError, Collected, ManifestId, StoredFile, Users};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use support::{Fixture, PLENTY, account, file_of, layer, roots, whole};
use tokio::task::{JoinSet, yield_now};

/// Two processes over one origin; what is open in one, the other's guards do not know.
struct Two {
    fixture: Fixture,
    collector: ChunkStore,
    other: ChunkStore,
}

impl Two {
    async fn new() -> Self {
        let mut fixture = Fixture::new();
        fixture.options.grace = Duration::from_secs(3600);
        fixture.options.is_shared = true;
        // A cache that both had would hide what is lost.
        fixture.options.disk = None;
        let (collector, other) = (fixture.store().await, fixture.store().await);
        let two = Self { fixture, collector, other };
        two.other.report_use("other").await.unwrap();
        assert_eq!(two.collect(&[]).await.unwrap(), Collected::default(), "the first");
        two
    }

    /// A long time passes, in which others have collected, and the other one says what it
    /// has open.
    async fn later(&self) {
        self.fixture.origin.age().await;
        self.soon().await;
        self.other.report_use("other").await.unwrap();
    }

    /// Time passes until the next collection may begin.
    async fn soon(&self) {
        let generation = Path::from("generation");
        self.fixture.origin.old.lock().unwrap().remove(&generation);
        self.fixture.origin.older.lock().unwrap().insert(generation, Duration::from_secs(1000));
    }

    async fn collect(&self, live: &[ManifestId]) -> Result<Collected, CollectError> {
        let all = BTreeSet::from(["other", "collector"].map(str::to_owned));
        let users = Users { me: "collector".to_owned(), all };
        self.collector.collect_among(roots(live.iter().map(|id| (account(1), *id))), users).await
    }

    async fn write(&self, store: &ChunkStore, first: u32) -> StoredFile {
        store.write(&account(1), pages(first)).await.unwrap().file
    }

    /// What a process that has nothing yet reads.
    async fn read(&self, id: &ManifestId) -> Vec<u8> {
        whole(&self.fixture.store().await.open(&account(1), id).await.unwrap()).await
    }
}

fn pages(first: u32) -> Vec<u8> {
    file_of(&(first..first + 130).collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_elsewhere_stays_until_it_is_closed() {
    let two = Two::new().await;
    let open = two.write(&two.other, 1).await;
    for _ in 0..3 {
        two.later().await;
        assert_eq!(two.collect(&[]).await.unwrap().manifests_swept, 0);
        assert!(two.read(&open.id()).await == pages(1));
    }
    drop(open);
    two.later().await;
    let swept = two.collect(&[]).await.unwrap();
    assert_eq!((swept.manifests_swept, swept.chunks_swept), (1, 2));
    assert_eq!(two.fixture.origin.count("doomed/pending").await, 0);
    two.later().await;
    two.collect(&[]).await.unwrap();
    assert_eq!(two.fixture.origin.count("doomed").await, 0, "long ago");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lost_its_name_a_short_while_ago_stays_and_what_is_young() {
    let two = Two::new().await;
    let named = two.write(&two.collector, 1).await.id();
    two.later().await;
    two.collect(&[named]).await.unwrap();
    two.later().await;
    // Another process opened it by its name since it reported.
    assert_eq!(two.collect(&[]).await.unwrap().manifests_swept, 0);
    let young = two.write(&two.other, 1000).await.id();
    two.soon().await;
    let swept = two.collect(&[]).await.unwrap();
    assert_eq!((swept.manifests_swept, swept.chunks_swept), (1, 2));
    assert!(two.read(&young).await == pages(1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_does_not_know_stops_a_collection() {
    let two = Two::new().await;
    two.write(&two.collector, 1).await;
    two.fixture.origin.age().await;
    two.soon().await;
    let silent = two.collect(&[]).await;
    assert!(matches!(&silent, Err(CollectError::Silent(who)) if who == "other"), "{silent:?}");
    two.other.report_use("other").await.unwrap();

    let report = Path::from("in-use/other");
    two.fixture.origin.inner.put(&report, "half of it".into()).await.unwrap();
    let damaged = two.collect(&[]).await;
    assert!(matches!(&damaged, Err(CollectError::Report(who)) if who == "other"), "{damaged:?}");

    let mut other = Fixture::new();
    other.origin = two.fixture.origin.clone();
    other.options.grace = Duration::from_secs(7200);
    other.store().await.report_use("other").await.unwrap();
    let grace = two.collect(&[]).await;
    assert!(matches!(&grace, Err(CollectError::Grace { who, .. }) if who == "other"), "{grace:?}");

    two.other.report_use("other").await.unwrap();
    assert_eq!(two.fixture.origin.count("manifests").await, 1, "nothing was deleted");
    assert_eq!(two.collect(&[]).await.unwrap().manifests_swept, 1);
    let soon = two.collect(&[]).await;
    assert!(matches!(&soon, Err(CollectError::TooSoon(_))), "{soon:?}");
}

#[tokio::test]
async fn a_clock_that_is_off_stops_a_collection() {
    let two = Two::new().await;
    two.soon().await;
    let now = clock::unix_now();
    // The other one's, and then the collector's.
    clock::set(now - Duration::from_secs(600));
    two.other.report_use("other").await.unwrap();
    clock::set(now);
    let off = two.collect(&[]).await;
    assert!(matches!(&off, Err(CollectError::Clock { who, .. }) if who == "other"), "{off:?}");
    two.other.report_use("other").await.unwrap();
    clock::set(now + Duration::from_secs(60));
    let off = two.collect(&[]).await;
    assert!(matches!(&off, Err(CollectError::Clock { who, .. }) if who == "collector"), "{off:?}");
    clock::set(now + Duration::from_secs(3));
    two.collect(&[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_that_is_gone_had_open_stays_for_a_grace() {
    let two = Two::new().await;
    let open = two.write(&two.collector, 1).await;
    two.later().await;
    // It is none of those that have to report, and says nothing any more.
    let gone = two.fixture.store().await;
    let theirs = gone.open(&account(1), &open.id()).await.unwrap();
    gone.report_use("gone").await.unwrap();
    drop((open, theirs, gone));
    assert_eq!(two.collect(&[]).await.unwrap().manifests_swept, 0);
    two.later().await;
    assert_eq!(two.collect(&[]).await.unwrap().manifests_swept, 1);
    assert_eq!(two.fixture.origin.count("in-use").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_elsewhere_that_meets_a_deletion_stores_again() {
    let two = Two::new().await;
    drop(two.write(&two.collector, 1).await);
    two.later().await;
    let held = two.fixture.origin.delete_gate.acquire_many(PLENTY as u32).await.unwrap();
    let before = two.fixture.origin.deletes.load(SeqCst);
    let writes = async {
        // The manifest's deletion is on its way; then the other one stores the same.
        while two.fixture.origin.deletes.load(SeqCst) == before {
            yield_now().await;
        }
        let puts = two.fixture.origin.manifest_puts.load(SeqCst);
        let written = two.write(&two.other, 1);
        let opens = async {
            while two.fixture.origin.manifest_puts.load(SeqCst) == puts {
                yield_now().await;
            }
            drop(held);
        };
        tokio::join!(written, opens).0
    };
    let (collected, written) = tokio::join!(two.collect(&[]), writes);
    collected.unwrap();
    assert!(two.read(&written.id()).await == pages(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_still_going_on_when_a_collection_is_over_stores_again() {
    let two = Two::new().await;
    let origin = &two.fixture.origin;
    drop(two.write(&two.collector, 1).await);
    // As after a crash between its deletion and that of its chunks.
    for path in origin.paths().await {
        if path.as_ref().starts_with("manifests") {
            origin.inner.delete(&path).await.unwrap();
        }
    }
    two.later().await;
    let deletions = origin.delete_gate.acquire_many(PLENTY as u32).await.unwrap();
    let manifests = origin.manifest_gate.acquire_many(PLENTY as u32).await.unwrap();
    let before = (origin.deletes.load(SeqCst), origin.manifest_puts.load(SeqCst));
    let begun = async |deletes| {
        while origin.deletes.load(SeqCst) < before.0 + deletes {
            yield_now().await;
        }
    };
    let steps = async {
        // Both chunks were found old. They are stored again, and deleted, and the record is
        // done; the manifest is not stored yet.
        while origin.manifest_puts.load(SeqCst) == before.1 {
            yield_now().await;
        }
        drop(deletions);
        while origin.count("chunks").await > 0 || origin.count("doomed/pending").await > 0 {
            yield_now().await;
        }
        drop(manifests);
    };
    let writes = async {
        begun(2).await;
        two.write(&two.other, 1).await
    };
    let (collected, (), written) = tokio::join!(two.collect(&[]), steps, writes);
    assert_eq!(collected.unwrap().chunks_swept, 2);
    assert!(two.read(&written.id()).await == pages(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_collection_left_that_died_stops_the_next_for_a_while() {
    let two = Two::new().await;
    drop(two.write(&two.collector, 1).await);
    two.later().await;
    let left = Path::from("doomed/pending/7");
    two.fixture.origin.inner.put(&left, "half of it".into()).await.unwrap();
    let stopped = two.collect(&[]).await;
    assert!(matches!(&stopped, Err(CollectError::UnderWay(_))), "{stopped:?}");
    two.fixture.origin.older.lock().unwrap().insert(left, Duration::from_secs(60));
    // Nor does it stop writes any more, though nobody can tell what it had.
    drop(two.write(&two.other, 1000).await);
    assert_eq!(two.collect(&[]).await.unwrap().manifests_swept, 1);
}

/// Writes of few contents by one process while another collects what is old of them.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_written_while_another_collects_is_whole() {
    const ROUNDS: u32 = 40;
    let two = Two::new().await;
    two.fixture.origin.dawdle.store(0x5eed, SeqCst);
    let parent = Arc::new(two.other.write(&layer(), pages(1)).await.unwrap().file);
    let mut swept = 0;
    for round in 0..ROUNDS {
        two.later().await;
        let mut writes = JoinSet::new();
        for content in 0..4 {
            let (other, parent) = (two.other.clone(), Arc::clone(&parent));
            writes.spawn(async move {
                for _ in 0..(round + content) % 7 {
                    yield_now().await;
                }
                let first = 100 * (content % 3);
                let written = match content {
                    3 => other.write_layer(&account(1), pages(first), &parent).await,
                    _ => other.write(&account(1), pages(first)).await,
                };
                (written.unwrap().id, first)
            });
        }
        let collected = two.collect(&[]).await.unwrap();
        swept += collected.manifests_swept + collected.chunks_swept;
        for (id, first) in writes.join_all().await {
            assert!(two.read(&id).await == pages(first), "round {round}");
        }
    }
    assert!(swept > u64::from(ROUNDS), "{swept}: nothing was old enough to be deleted");
}
