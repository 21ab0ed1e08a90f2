//! Compare-and-set under contention.

use super::value;
use hearth_services::metastore::{MetaStore, Txn, TxnOutcome};

/// Writers that contend.
const WRITERS: usize = 8;
/// Increments that each must get through.
const INCREMENTS: usize = 25;

/// Read, add one, write if unchanged: no increment is lost, none is counted
/// twice.
pub async fn increments_are_never_lost(store: &dyn MetaStore) {
    let increment = || async {
        for _ in 0..INCREMENTS {
            loop {
                let found = store.get("n").await.unwrap();
                let count = found.as_ref().map_or(0, |found| {
                    std::str::from_utf8(&found.value).unwrap().parse::<usize>().unwrap()
                });
                let txn = match found {
                    Some(found) => Txn::new().unchanged("n", found.revision),
                    None => Txn::new().absent("n"),
                };
                let txn = txn.put("n", (count + 1).to_string());
                if matches!(store.transact(txn).await.unwrap(), TxnOutcome::Committed(_)) {
                    break;
                }
            }
        }
    };
    let writers: [_; WRITERS] = std::array::from_fn(|_| increment());
    let [a, b, c, d, e, f, g, h] = writers;
    tokio::join!(a, b, c, d, e, f, g, h);
    assert_eq!(value(store, "n").await.unwrap(), (WRITERS * INCREMENTS).to_string());
}

/// Of those that create one key at the same time exactly one succeeds, and the
/// key holds that one's value.
pub async fn one_of_many_creators_wins(store: &dyn MetaStore) {
    for round in 0..INCREMENTS {
        let key = format!("k/{round}");
        let create = |name: &'static str| {
            let txn = Txn::new().absent(key.clone()).put(key.clone(), name);
            async move { (name, store.transact(txn).await.unwrap()) }
        };
        let (a, b, c, d) = tokio::join!(create("a"), create("b"), create("c"), create("d"));
        let winners: Vec<_> =
            [a, b, c, d].into_iter().filter(|(_, end)| *end != TxnOutcome::Conflict).collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(value(store, &key).await.unwrap(), winners[0].0);
    }
}
