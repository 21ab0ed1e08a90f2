//! Transactions: atomic, conditional, numbered.

use super::{assert_conflict, commit, value};
use hearth_services::metastore::{MetaStore, Txn};

/// The simplest life of a key.
pub async fn puts_and_deletes_are_read_back(store: &dyn MetaStore) {
    assert_eq!(store.get("a").await.unwrap(), None);
    let first = commit(store, Txn::new().put("a", "1")).await;
    assert!(first >= 1, "revisions start at 1");
    let found = store.get("a").await.unwrap().unwrap();
    assert_eq!((&found.value[..], found.revision), (&b"1"[..], first));

    let second = commit(store, Txn::new().put("a", "")).await;
    assert!(second > first);
    let found = store.get("a").await.unwrap().unwrap();
    assert_eq!((&found.value[..], found.revision), (&b""[..], second), "empty is not absent");

    commit(store, Txn::new().delete("a")).await;
    assert_eq!(store.get("a").await.unwrap(), None);
    commit(store, Txn::new().absent("a").put("a", "2")).await;
    assert_eq!(value(store, "a").await.unwrap(), "2");
}

/// A failed condition undoes every operation; a met one does them all at one
/// revision.
pub async fn a_transaction_is_all_or_nothing(store: &dyn MetaStore) {
    let revision = commit(store, Txn::new().put("a", "1").put("b", "1").put("c", "1")).await;
    for key in ["a", "b", "c"] {
        assert_eq!(store.get(key).await.unwrap().unwrap().revision, revision);
    }
    let mixed = Txn::new().unchanged("a", revision).absent("b").put("a", "2").delete("c");
    assert_conflict(store, mixed).await;
    let (entries, _) = store.list("", None, 10).await.unwrap();
    assert_eq!(entries.len(), 3);
    assert!(entries.iter().all(|(_, found)| found.revision == revision));
}

/// `Absent` and `RevisionIs` hold exactly when they say.
pub async fn conditions_are_exact(store: &dyn MetaStore) {
    assert_conflict(store, Txn::new().unchanged("a", 1).put("a", "x")).await;
    assert_conflict(store, Txn::new().unchanged("a", 0).put("a", "x")).await;
    let old = commit(store, Txn::new().absent("a").put("a", "1")).await;
    assert_conflict(store, Txn::new().absent("a").put("a", "x")).await;
    let new = commit(store, Txn::new().unchanged("a", old).put("a", "1")).await;
    assert_ne!(old, new, "writing the same value is a change");
    for wrong in [old, new + 1] {
        assert_conflict(store, Txn::new().unchanged("a", wrong).delete("a")).await;
    }
    // Another key's change is none of this key's business.
    commit(store, Txn::new().put("b", "1")).await;
    commit(store, Txn::new().unchanged("a", new).delete("a")).await;
    assert_conflict(store, Txn::new().unchanged("a", new).put("a", "x")).await;
    assert_eq!(value(store, "a").await, None);
}

/// Several operations on one key act as the last of them.
pub async fn the_last_operation_on_a_key_counts(store: &dyn MetaStore) {
    let before = commit(store, Txn::new().put("gone", "1")).await;
    let mut watch = store.watch("", before).await.unwrap();
    let txn = Txn::new().put("a", "1").delete("a").put("a", "2").put("gone", "2").delete("gone");
    commit(store, txn).await;
    assert_eq!(value(store, "a").await.unwrap(), "2");
    assert_eq!(value(store, "gone").await, None);
    let events = watch.next().await.unwrap();
    let events: Vec<_> = events.iter().map(|e| (&*e.key, e.value.is_some())).collect();
    assert_eq!(events, [("a", true), ("gone", false)]);
}

/// Deleting what is not there commits, and no watch hears of it.
pub async fn what_changes_nothing_is_no_event(store: &dyn MetaStore) {
    let before = commit(store, Txn::new().put("a", "1")).await;
    let mut watch = store.watch("", before).await.unwrap();
    commit(store, Txn::new().delete("never")).await;
    let nothing = commit(store, Txn::new().unchanged("a", before)).await;
    assert_conflict(store, Txn::new().absent("a")).await;
    let last = commit(store, Txn::new().put("b", "1")).await;
    assert!(before <= nothing && nothing < last);
    let events = watch.next().await.unwrap();
    assert_eq!((events.len(), &*events[0].key, events[0].revision), (1, "b", last));
}
