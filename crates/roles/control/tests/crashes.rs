//! What is left when control stops at the worst moment, and how it goes away.

mod fixture;

use async_trait::async_trait;
use fixture::{Fixture, create, zip};
use hearth_control::Swept;
use hearth_services::control::{Control, ControlError, PublishVersion, UpdateCode, UpdateSettings};
use hearth_services::keys;
use hearth_services::metastore::{
    Lease, LeaseId, MetaStore, MetaStoreError, Revision, Txn, TxnOutcome, Versioned, Watch,
};
use hearth_types::{ApplyOn, FunctionName, MemoryMb, SnapStart, State, Version};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const FIRST: Version = Version::Published(1);

/// A store that stops writing after some transactions, as a crash would.
struct StopsWriting {
    inner: Arc<dyn MetaStore>,
    writes_left: AtomicUsize,
}

#[async_trait]
impl MetaStore for StopsWriting {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, MetaStoreError> {
        self.inner.get(key).await
    }
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(String, Versioned)>, Revision), MetaStoreError> {
        self.inner.list(prefix, after, limit).await
    }
    async fn transact(&self, txn: Txn) -> Result<TxnOutcome, MetaStoreError> {
        let left =
            self.writes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        match left {
            Ok(_) => self.inner.transact(txn).await,
            Err(_) => Err(MetaStoreError::Engine("crashed".into())),
        }
    }
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, MetaStoreError> {
        self.inner.watch(prefix, after).await
    }
    async fn grant_lease(&self, ttl: Duration) -> Result<Lease, MetaStoreError> {
        self.inner.grant_lease(ttl).await
    }
    async fn keep_lease(&self, lease: LeaseId) -> Result<(), MetaStoreError> {
        self.inner.keep_lease(lease).await
    }
    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), MetaStoreError> {
        self.inner.revoke_lease(lease).await
    }
}

/// The same stores, with `writes_left` transactions until the crash.
fn crashing(f: Fixture, writes_left: usize) -> Fixture {
    let wrap = |inner| -> Arc<dyn MetaStore> {
        Arc::new(StopsWriting { inner, writes_left: AtomicUsize::new(writes_left) })
    };
    f.reopen(wrap, |control| control)
}

async fn version_keys(f: &Fixture) -> usize {
    f.store.list(keys::VERSIONS, None, 10_000).await.unwrap().0.len()
}

#[tokio::test]
async fn code_that_was_never_named_is_swept() {
    let f = Fixture::new();
    let kept = f.control.create_function(&f.account, create("kept", "1")).await.unwrap();
    // A crash before the version is named, and one before the package is.
    let f = crashing(f, 1);
    let crashed = f.control.create_function(&f.account, create("f", "2")).await;
    assert!(matches!(crashed, Err(ControlError::Internal(_))), "{crashed:?}");
    let update = UpdateCode { zip: zip("3"), publish: false, dry_run: false, if_revision: None };
    assert!(f.control.update_code(&f.account, &kept.key.function, update).await.is_err());
    assert_eq!(f.packages().await.len(), 2);
    let stored = f.chunk_files().len();
    assert!(stored >= 6, "three zips, three images");

    // What was just named may be on its way to a sandbox.
    let f = f.restart_with(|control| control.with_unnamed_kept(Duration::from_secs(3600)));
    assert_eq!(f.control.sweep().await.unwrap(), Swept::default());
    f.collect().await;
    assert!(f.chunk_files().len() < stored, "the one without a name goes");
    let f = f.restart();
    assert_eq!(f.control.sweep().await.unwrap(), Swept { functions: 0, packages: 1 });
    f.collect().await;
    let left: Vec<_> = f.packages().await.into_values().collect();
    assert_eq!(left, std::slice::from_ref(&kept.code));
    assert_eq!(f.chunk_files().len(), f.chunks_of(&kept).await);
    assert!(f.has_code_of(&kept).await);
    let found = f.control.get_function(&f.account, &kept.key.function, Version::Latest).await;
    assert_eq!(found.unwrap().version, kept);
    assert_eq!(f.control.sweep().await.unwrap(), Swept::default());
}

#[tokio::test]
async fn equal_code_is_stored_once_and_kept_while_anything_names_it() {
    let f = Fixture::new();
    let a = f.control.create_function(&f.account, create("a", "same")).await.unwrap();
    let b = f.control.create_function(&f.account, create("b", "same")).await.unwrap();
    assert_eq!(a.code, b.code);
    assert_eq!(f.packages().await.len(), 1);
    assert_eq!(f.chunk_files().len(), f.chunks_of(&a).await);
    f.control.delete_function(&f.account, &a.key.function, None).await.unwrap();
    assert_eq!(f.control.sweep().await.unwrap().packages, 0);
    // A published version names the code even after `$LATEST` moved on.
    f.control
        .publish_version(&f.account, &b.key.function, PublishVersion::default())
        .await
        .unwrap();
    let update = UpdateCode { zip: zip("new"), publish: false, dry_run: false, if_revision: None };
    f.control.update_code(&f.account, &b.key.function, update).await.unwrap();
    assert_eq!(f.control.sweep().await.unwrap().packages, 0);
    f.control.delete_function(&f.account, &b.key.function, None).await.unwrap();
    assert_eq!(f.control.sweep().await.unwrap().packages, 2);
    f.collect().await;
    assert!(f.chunk_files().is_empty());
}

#[tokio::test]
async fn sweeps_collections_and_creations_at_once_lose_no_code() {
    let f = Fixture::new();
    for round in 0..10 {
        let text = format!("{}", round % 3);
        let make = f.control.create_function(&f.account, create("f", &text));
        let collect = async {
            f.control.sweep().await.unwrap();
            f.chunks.collect(f.control.code_files().await.unwrap()).await.unwrap();
        };
        let (made, a, ()) = tokio::join!(make, f.control.sweep(), collect);
        a.unwrap();
        let made = made.unwrap();
        assert!(f.has_code_of(&made).await, "round {round}");
        f.control.delete_function(&f.account, &made.key.function, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_package_whose_removal_crashed_half_way_can_be_named_again() {
    let f = Fixture::new();
    let made = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    f.control.delete_function(&f.account, &made.key.function, None).await.unwrap();
    // It is doomed, and not removed.
    let f = crashing(f, 1);
    assert!(f.control.sweep().await.is_err());
    assert_eq!(f.packages().await.len(), 1);
    let f = f.restart();
    let again = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    assert_eq!(again.code, made.code);
    assert_eq!(f.control.sweep().await.unwrap().packages, 0);
    f.collect().await;
    assert!(f.has_code_of(&again).await);
    // And one that nobody names goes with the next sweep.
    f.control.delete_function(&f.account, &made.key.function, None).await.unwrap();
    let f = crashing(f, 1);
    assert!(f.control.sweep().await.is_err());
    let f = f.restart();
    assert_eq!(f.control.sweep().await.unwrap().packages, 1);
    assert!(f.packages().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_elsewhere_takes_no_package_that_is_just_named() {
    let f = Fixture::new();
    let elsewhere = Arc::new(f.elsewhere());
    let stop = CancellationToken::new();
    let sweeps = tokio::spawn({
        let (stop, mut removed) = (stop.clone(), 0);
        async move {
            while !stop.is_cancelled() {
                removed += elsewhere.sweep().await.unwrap().packages;
            }
            removed
        }
    });
    for round in 0..60 {
        // It is there still, being removed, or gone.
        let made = f.control.create_function(&f.account, create("f", "same")).await.unwrap();
        let named = f.packages().await.into_values().any(|code| code == made.code);
        assert!(named, "round {round}");
        f.control.delete_function(&f.account, &made.key.function, None).await.unwrap();
        tokio::time::sleep(Duration::from_millis(round % 4)).await;
    }
    stop.cancel();
    assert!(sweeps.await.unwrap() > 0, "sweeps came between");
}

#[tokio::test]
async fn a_snapshot_that_was_never_named_is_built_again_and_the_first_is_swept() {
    let mut f = Fixture::new();
    let mut request = create("f", "1");
    request.publish = true;
    request.settings.snap_start = Some(SnapStart { apply_on: ApplyOn::PublishedVersions });
    let name = f.control.create_function(&f.account, request).await.unwrap().key.function;
    let mut strays = BTreeSet::new();
    for writes_left in [0, 1] {
        let built_before = f.snapshots.kept.lock().len();
        let fixture = crashing(f, writes_left);
        let builder = tokio::spawn(fixture.control.clone().build_snapshots(Default::default()));
        let state = loop {
            let found = fixture.control.get_function(&fixture.account, &name, FIRST).await.unwrap();
            let built = fixture.snapshots.kept.lock().len() > built_before;
            if built && (writes_left == 0 || found.version.state != State::Pending) {
                break found.version.state;
            }
            tokio::task::yield_now().await;
        };
        builder.abort();
        let _aborted = builder.await;
        f = fixture.restart();
        if writes_left == 0 {
            assert_eq!(state, State::Pending);
            strays = f.snapshots.kept.lock().clone();
        }
    }
    let active = f.control.get_function(&f.account, &name, FIRST).await.unwrap().version;
    assert_eq!(active.state, State::Active);
    assert_eq!((strays.len(), f.snapshots.kept.lock().len()), (1, 2));
    f.control.sweep().await.unwrap();
    assert_eq!(*f.snapshots.kept.lock(), BTreeSet::from([active.snapshot.unwrap()]));
}

#[tokio::test]
async fn a_deletion_that_crashes_half_way_has_happened() {
    const VERSIONS: i64 = 180; // more than one transaction holds
    let f = Fixture::new();
    let made = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    let name: FunctionName = made.key.function.clone();
    for i in 0..VERSIONS {
        let memory = Some(MemoryMb::try_from(128 + i).unwrap());
        let mut change = UpdateSettings::default();
        change.settings.memory = memory;
        f.control.update_settings(&f.account, &name, change).await.unwrap();
        f.control.publish_version(&f.account, &name, PublishVersion::default()).await.unwrap();
    }
    assert_eq!(version_keys(&f).await as i64, VERSIONS + 1);
    let f = crashing(f, 1);
    assert!(f.control.delete_function(&f.account, &name, None).await.is_err());
    assert!(version_keys(&f).await > 50, "it crashed half-way");

    // Whoever comes next sees no function, whatever is left of it.
    let gone = f.control.get_function(&f.account, &name, Version::Published(170)).await;
    assert!(matches!(gone, Err(ControlError::FunctionNotFound(_))), "{gone:?}");
    let page = f.control.list_functions(&f.account, true, None, 50).await.unwrap();
    assert!(page.items.is_empty());

    let f = f.restart();
    let reborn = f.control.create_function(&f.account, create("f", "2")).await.unwrap();
    let versions = f.control.list_versions(&f.account, &name, None, 50).await.unwrap();
    assert_eq!(versions.items, [reborn]);
    assert_eq!(version_keys(&f).await, 1);
}

#[tokio::test]
async fn code_that_was_just_replaced_is_left_for_sandboxes_that_start() {
    const KEPT: Duration = Duration::from_secs(600);
    let f = Fixture::new();
    let made = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    let f = f.restart_with(|control| control.with_unnamed_kept(KEPT));
    assert_eq!(f.control.sweep().await.unwrap().packages, 0);
    let update = UpdateCode { zip: zip("2"), publish: false, dry_run: false, if_revision: None };
    f.control.update_code(&f.account, &made.key.function, update).await.unwrap();
    assert_eq!(f.control.sweep().await.unwrap().packages, 0);
    f.collect().await;
    assert!(f.has_code_of(&made).await);
    tokio::time::pause();
    tokio::time::advance(KEPT).await;
    assert_eq!(f.control.sweep().await.unwrap().packages, 1);
}

#[tokio::test]
async fn uploads_that_crashed_leave_no_file() {
    let f = Fixture::new();
    let kept = f.control.create_function(&f.account, create("kept", "1")).await.unwrap();
    let whole = f.chunk_files().pop().unwrap();
    let half = whole.with_file_name(format!("{}#1", whole.file_name().unwrap().display()));
    std::fs::write(&half, b"half an image").unwrap();
    let f = f.restart();
    assert!(!half.exists());
    assert!(f.has_code_of(&kept).await);
}

#[tokio::test]
async fn versions_without_a_function_are_swept() {
    let f = Fixture::new();
    for name in ["f", "kept"] {
        let made = f.control.create_function(&f.account, create(name, name)).await.unwrap();
        f.control
            .publish_version(&f.account, &made.key.function, PublishVersion::default())
            .await
            .unwrap();
    }
    let record = keys::function(&f.account, &"f".parse().unwrap());
    f.store.transact(Txn::new().delete(record)).await.unwrap();
    assert_eq!(f.control.sweep().await.unwrap(), Swept { functions: 1, packages: 1 });
    assert_eq!(version_keys(&f).await, 2);
}

#[tokio::test]
async fn bad_packages_leave_nothing() {
    let f = Fixture::new();
    let good = zip("1");
    let bad = [&b""[..], b"not a zip", &good[..good.len() - 1], &good[1..]];
    for zip in bad {
        let mut request = create("f", "");
        request.zip = zip.to_vec().into();
        let refused = f.control.create_function(&f.account, request).await;
        assert!(matches!(refused, Err(ControlError::BadCode(_))), "{refused:?}");
    }
    assert!(f.objects().is_empty());
    assert!(f.packages().await.is_empty());
    assert_eq!(f.work_files(), 0);
    assert_eq!(version_keys(&f).await, 0);
    // The name is free, and work files of a crashed build go at start.
    std::fs::write(f.dir.path().join("work/left-behind"), b"").unwrap();
    let f = f.restart();
    assert_eq!(f.work_files(), 0);
    f.control.create_function(&f.account, create("f", "1")).await.unwrap();
}
