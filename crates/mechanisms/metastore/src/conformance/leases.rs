//! Leases: what their holder's silence ends, all at once.

use super::{assert_conflict, commit, value};
use hearth_services::metastore::{LeaseId, MetaStore, MetaStoreError, Txn, Watch};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Short, and what every engine can count.
const TTL: Duration = Duration::from_secs(1);
/// Longer than the end of any lease here is away, however busy the machine.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How many times a lease is kept alive within its life.
const KEEPS_PER_TTL: u32 = 4;

async fn deleted(watch: &mut Box<dyn Watch>) -> Vec<String> {
    let events = timeout(WAIT_MAX, watch.next()).await.expect("the lease ends").unwrap();
    assert!(events.iter().all(|event| event.value.is_none()), "{events:?}");
    events.into_iter().map(|event| event.key).collect()
}

/// Silence ends a lease after its time and not before; its keys go together.
pub async fn a_silent_lease_ends_with_all_of_its_keys(store: &dyn MetaStore) {
    let lease = store.grant_lease(TTL).await.unwrap();
    assert!(lease.ttl >= TTL);
    let granted = Instant::now();
    commit(store, Txn::new().put_leased("l/a", "1", lease.id).put("l/b", "1")).await;
    let revision = commit(store, Txn::new().put_leased("l/c", "1", lease.id)).await;
    let mut watch = store.watch("l/", revision).await.unwrap();
    assert_eq!(deleted(&mut watch).await, ["l/a", "l/c"]);
    // The engine's clock began before ours.
    assert!(granted.elapsed() >= TTL / 2, "it ended after {:?}", granted.elapsed());
    assert_eq!((value(store, "l/a").await, value(store, "l/c").await), (None, None));
    assert_eq!(value(store, "l/b").await.unwrap(), "1");
    assert!(matches!(store.keep_lease(lease.id).await, Err(MetaStoreError::LeaseGone)));
}

/// A lease that is kept alive outlives one that is not, and then ends as well.
pub async fn a_lease_that_is_kept_lives_on(store: &dyn MetaStore) {
    let kept = store.grant_lease(TTL).await.unwrap();
    let silent = store.grant_lease(kept.ttl * 3).await.unwrap();
    let txn = Txn::new().put_leased("kept", "1", kept.id).put_leased("silent", "1", silent.id);
    let revision = commit(store, txn).await;
    let mut watch = store.watch("", revision).await.unwrap();
    let started = Instant::now();
    let first = loop {
        assert!(started.elapsed() < WAIT_MAX, "the silent lease ends");
        store.keep_lease(kept.id).await.unwrap();
        if let Ok(events) = timeout(kept.ttl / KEEPS_PER_TTL, watch.next()).await {
            break events.unwrap();
        }
    };
    let keys: Vec<_> = first.into_iter().map(|event| event.key).collect();
    assert_eq!(keys, ["silent"]);
    assert_eq!(deleted(&mut watch).await, ["kept"]);
}

/// A lease can be ended at once, and again.
pub async fn a_revoked_lease_is_over(store: &dyn MetaStore) {
    let lease = store.grant_lease(WAIT_MAX).await.unwrap();
    let revision = commit(store, Txn::new().put_leased("a", "1", lease.id)).await;
    let mut watch = store.watch("", revision).await.unwrap();
    store.revoke_lease(lease.id).await.unwrap();
    assert_eq!(value(store, "a").await, None);
    assert_eq!(deleted(&mut watch).await, ["a"]);
    store.revoke_lease(lease.id).await.unwrap();
    assert!(matches!(store.keep_lease(lease.id).await, Err(MetaStoreError::LeaseGone)));
}

/// Who puts a key last says what it is bound to.
pub async fn a_put_rebinds_its_key(store: &dyn MetaStore) {
    let [first, second] =
        [store.grant_lease(WAIT_MAX).await.unwrap(), store.grant_lease(WAIT_MAX).await.unwrap()];
    assert_ne!(first.id, second.id);
    let all = |lease: LeaseId| {
        let keys = ["free", "moved", "again", "stays"];
        keys.into_iter().fold(Txn::new(), |txn, key| txn.put_leased(key, "1", lease))
    };
    commit(store, all(first.id)).await;
    let txn = Txn::new().put("free", "2").put_leased("moved", "2", second.id);
    commit(store, txn.delete("again")).await;
    commit(store, Txn::new().put("again", "2")).await;
    store.revoke_lease(first.id).await.unwrap();
    assert_eq!(value(store, "stays").await, None);
    for key in ["free", "moved", "again"] {
        assert_eq!(value(store, key).await.unwrap(), "2", "{key}");
    }
    store.revoke_lease(second.id).await.unwrap();
    assert_eq!(value(store, "moved").await, None);
    assert_eq!(value(store, "free").await.unwrap(), "2");
}

/// A transaction that binds a key to a lease that is over does nothing at all; its
/// conditions are looked at first, and an operation that does not count does not.
pub async fn nothing_is_bound_to_a_lease_that_is_over(store: &dyn MetaStore) {
    let lease = store.grant_lease(WAIT_MAX).await.unwrap().id;
    store.revoke_lease(lease).await.unwrap();
    let bound = || Txn::new().put("b", "1").put_leased("a", "1", lease);
    let refused = store.transact(bound()).await;
    assert!(matches!(refused, Err(MetaStoreError::LeaseGone)), "{refused:?}");
    assert!(store.list("", None, 10).await.unwrap().0.is_empty());
    let held = commit(store, Txn::new().put("held", "1")).await;
    assert_conflict(store, bound().absent("held")).await;
    let refused = store.transact(bound().unchanged("held", held)).await;
    assert!(matches!(refused, Err(MetaStoreError::LeaseGone)), "{refused:?}");
    commit(store, bound().put("a", "2")).await;
    assert_eq!(value(store, "a").await.unwrap(), "2");
}

/// How leaders use it: the key says who leads, its revision is the epoch, and nobody
/// writes whose epoch is over.
pub async fn a_leader_whose_lease_ended_writes_no_more(store: &dyn MetaStore) {
    let lead = |name: &'static str| async move {
        let lease = store.grant_lease(TTL).await.unwrap().id;
        let txn = Txn::new().absent("leader").put_leased("leader", name, lease);
        (lease, commit(store, txn).await)
    };
    let append = |epoch, at: u32| {
        let txn = Txn::new().unchanged("leader", epoch);
        txn.put(format!("journal/{at}"), "entry")
    };
    let (_silent, old) = lead("old").await;
    commit(store, append(old, 0)).await;
    let mut watch = store.watch("leader", old).await.unwrap();
    assert_eq!(deleted(&mut watch).await, ["leader"]);
    assert_conflict(store, append(old, 1)).await;
    let (_, new) = lead("new").await;
    assert!(new > old, "epochs grow");
    assert_conflict(store, append(old, 1)).await;
    commit(store, append(new, 1)).await;
    assert_eq!(store.list("journal/", None, 10).await.unwrap().0.len(), 2);
}
