//! What an opened store keeps, and who may open it.

use hearth_metastore::RedbStore;
use hearth_services::metastore::{LEASE_TTL_MIN, MetaStore, MetaStoreError, Txn, TxnOutcome};
use std::os::unix::fs::PermissionsExt;

async fn put(store: &RedbStore, key: &str) -> u64 {
    match store.transact(Txn::new().put(key, "v")).await.unwrap() {
        TxnOutcome::Committed(revision) => revision,
        TxnOutcome::Conflict => panic!("a put conflicts with nothing"),
    }
}

#[tokio::test]
async fn revisions_go_on_and_older_history_is_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("meta.redb");
    let store = RedbStore::open(&path).unwrap();
    let first = put(&store, "a").await;
    let second = put(&store, "b").await;
    drop(store);

    let store = RedbStore::open(&path).unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().revision, first);
    let (entries, revision) = store.list("", None, 10).await.unwrap();
    assert_eq!((entries.len(), revision), (2, second));
    let refused = store.watch("", first).await.err();
    assert!(matches!(refused, Some(MetaStoreError::Compacted { oldest }) if oldest == second));
    let mut watch = store.watch("", second).await.unwrap();
    let third = put(&store, "c").await;
    assert!(third > second);
    assert_eq!(watch.next().await.unwrap()[0].revision, third);
}

#[tokio::test]
async fn a_watch_ends_with_its_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = RedbStore::open(&dir.path().join("meta.redb")).unwrap();
    let mut watch = store.watch("", 0).await.unwrap();
    drop(store);
    assert!(matches!(watch.next().await, Err(MetaStoreError::Engine(_))));
}

#[tokio::test]
async fn a_watch_that_falls_behind_is_told_and_nobody_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = RedbStore::open(&dir.path().join("meta.redb")).unwrap();
    let mut slow = store.watch("", 0).await.unwrap();
    // Twice the history's bytes.
    let large = vec![0u8; 500 * 1024];
    for _ in 0..64 {
        store.transact(Txn::new().put("a", large.clone())).await.unwrap();
    }
    let lagged = slow.next().await;
    let Err(MetaStoreError::Compacted { oldest }) = lagged else { panic!("{lagged:?}") };
    assert!(slow.next().await.is_err(), "the error ends it");
    let mut resumed = store.watch("", oldest).await.unwrap();
    assert_eq!(resumed.next().await.unwrap()[0].revision, oldest + 1);
}

#[test]
fn the_file_is_private_and_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("meta.redb");
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(RedbStore::open(&path).is_err());
    drop(store);
    assert!(RedbStore::open(&path).is_ok());
    std::fs::write(&path, b"this is no database, whatever its name says").unwrap();
    assert!(RedbStore::open(&path).is_err());
}

#[tokio::test]
async fn leases_with_keys_outlive_a_restart_and_then_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("meta.redb");
    let store = RedbStore::open(&path).unwrap();
    let lease = store.grant_lease(LEASE_TTL_MIN).await.unwrap().id;
    let empty = store.grant_lease(LEASE_TTL_MIN).await.unwrap().id;
    store.transact(Txn::new().put_leased("a", "v", lease)).await.unwrap();
    drop(store);

    let store = RedbStore::open(&path).unwrap();
    store.keep_lease(lease).await.unwrap();
    assert!(matches!(store.keep_lease(empty).await, Err(MetaStoreError::LeaseGone)));
    let (_, revision) = store.list("", None, 0).await.unwrap();
    let mut watch = store.watch("", revision).await.unwrap();
    assert_eq!(watch.next().await.unwrap()[0].value, None);
    drop(store);
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(store.get("a").await.unwrap(), None);
    assert!(matches!(store.keep_lease(lease).await, Err(MetaStoreError::LeaseGone)));
}

#[tokio::test]
async fn a_file_from_before_there_were_leases_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("meta.redb");
    let entries = redb::TableDefinition::<&str, &[u8]>::new("entries");
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    let old = redb::Database::create(&path).unwrap();
    let write = old.begin_write().unwrap();
    let stored = [&1u64.to_le_bytes()[..], b"v"].concat();
    write.open_table(entries).unwrap().insert("a", stored.as_slice()).unwrap();
    write.open_table(meta).unwrap().insert("revision", 1).unwrap();
    write.commit().unwrap();
    drop(old);
    for restart in 0..2 {
        let store = RedbStore::open(&path).unwrap();
        assert_eq!(&store.get("a").await.unwrap().unwrap().value[..], b"v");
        assert_eq!(put(&store, "b").await, 2 + restart);
    }
}

#[test]
fn whoever_is_just_ending_is_waited_for_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("meta.redb");
    let store = RedbStore::open(&path).unwrap();
    let ending = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        drop(store);
    });
    let store = RedbStore::open(&path).unwrap();
    ending.join().unwrap();
    assert!(RedbStore::open(&path).is_err(), "two have it");
    drop(store);
}
