//! Bounds: what is at one is accepted, what is over one is refused whole.

use super::commit;
use hearth_services::metastore::{
    KEY_BYTES_MAX, MetaStore, MetaStoreError, TXN_BYTES_MAX, TXN_OPS_MAX, Txn, VALUE_BYTES_MAX,
};

/// Every bound of the contract, from both sides.
pub async fn bounds_are_inclusive(store: &dyn MetaStore) {
    let key = |bytes| "k".repeat(bytes);
    let value = |bytes| vec![b'v'; bytes];
    let puts = |count| (0..count).fold(Txn::new(), |txn, i| txn.put(format!("{i}"), "v"));
    let compares = |count| (0..count).fold(Txn::new(), |txn, i| txn.absent(format!("no/{i}")));
    let half = TXN_BYTES_MAX / 2 - 1;
    let two = |extra| Txn::new().put("a", value(half)).put("b", value(half + extra));

    for fits in [
        Txn::new().put(key(KEY_BYTES_MAX), "v"),
        Txn::new().put("large", value(VALUE_BYTES_MAX)),
        compares(TXN_OPS_MAX),
        puts(TXN_OPS_MAX),
        two(0),
    ] {
        commit(store, fits).await;
    }
    let found = store.get("large").await.unwrap().unwrap();
    assert_eq!(found.value.len(), VALUE_BYTES_MAX);
    let revision = store.list("", None, 0).await.unwrap().1;

    for too_large in [
        Txn::new().put(key(KEY_BYTES_MAX + 1), "v"),
        Txn::new().delete(key(KEY_BYTES_MAX + 1)),
        Txn::new().absent(key(KEY_BYTES_MAX + 1)),
        Txn::new().put("large", value(VALUE_BYTES_MAX + 1)),
        compares(TXN_OPS_MAX + 1),
        puts(TXN_OPS_MAX + 1),
        two(1),
    ] {
        let refused = store.transact(too_large).await;
        assert!(matches!(refused, Err(MetaStoreError::TooLarge(_))), "{refused:?}");
    }
    let long = key(KEY_BYTES_MAX + 1);
    assert!(matches!(store.get(&long).await, Err(MetaStoreError::TooLarge(_))));
    assert!(matches!(store.list(&long, None, 1).await, Err(MetaStoreError::TooLarge(_))));
    assert!(matches!(store.watch(&long, 0).await.err(), Some(MetaStoreError::TooLarge(_))));
    assert_eq!(store.list("", None, 0).await.unwrap().1, revision, "nothing was written");
}
