//! Watches: every transaction, whole, once, in order.

use super::commit;
use hearth_services::metastore::{Event, MetaStore, Revision, TXN_BYTES_MAX, Txn, Watch};
use std::collections::BTreeMap;

/// Most commits that a case writes while it watches; far within any history.
const COMMITS: u64 = 200;

async fn next(watch: &mut Box<dyn Watch>) -> Vec<Event> {
    watch.next().await.expect("the watch goes on")
}

/// Items are transactions, in order, with all of their events.
pub async fn watches_see_each_transaction_whole_and_in_order(store: &dyn MetaStore) {
    let start = commit(store, Txn::new().put("x", "0")).await;
    let mut watch = store.watch("", start).await.unwrap();
    let mut revisions = Vec::new();
    for i in 0..COMMITS {
        let txn = Txn::new().put("a", i.to_string()).put(format!("b/{i}"), "1");
        revisions.push(commit(store, txn).await);
    }
    let deleted = commit(store, Txn::new().delete("a").delete("never")).await;
    for (i, revision) in revisions.into_iter().enumerate() {
        let event = |key: String, value: String| Event { revision, key, value: Some(value.into()) };
        let expected = [event("a".into(), i.to_string()), event(format!("b/{i}"), "1".into())];
        assert_eq!(next(&mut watch).await, expected);
    }
    let expected = Event { revision: deleted, key: "a".to_owned(), value: None };
    assert_eq!(next(&mut watch).await, [expected]);
}

/// However much there is to catch up with, no transaction is torn.
pub async fn large_transactions_are_seen_whole(store: &dyn MetaStore) {
    const LARGE: usize = 12;
    let half = vec![1; TXN_BYTES_MAX / 2 - 10];
    let start = commit(store, Txn::new().put("a", "0")).await;
    let mut revisions = Vec::new();
    for _ in 0..LARGE {
        let txn = Txn::new().put("a", half.clone()).put("b", half.clone()).delete("never");
        revisions.push(commit(store, txn).await);
    }
    let mut watch = store.watch("", start).await.unwrap();
    for revision in revisions {
        let events = next(&mut watch).await;
        let seen: Vec<_> = events.iter().map(|event| (&*event.key, event.revision)).collect();
        assert_eq!(seen, [("a", revision), ("b", revision)]);
        assert!(events.iter().all(|e| e.value.as_ref().is_some_and(|v| v.len() == half.len())));
    }
}

/// Of a transaction only the matching events are reported, and of one without
/// any nothing is.
pub async fn watches_see_only_their_prefix(store: &dyn MetaStore) {
    let start = commit(store, Txn::new().put("a/0", "0")).await;
    let mut watch = store.watch("a/", start).await.unwrap();
    commit(store, Txn::new().put("a", "1").put("a0", "1").put("b/a/", "1")).await;
    let mixed = commit(store, Txn::new().put("a/1", "1").put("b", "1").put("a/2", "1")).await;
    let events = next(&mut watch).await;
    let keys: Vec<_> = events.iter().map(|event| (&*event.key, event.revision)).collect();
    assert_eq!(keys, [("a/1", mixed), ("a/2", mixed)]);
}

/// A watch starts behind the revision it names, in the past or at the end.
pub async fn watches_begin_after_their_revision(store: &dyn MetaStore) {
    let mut revisions = Vec::new();
    for i in 0..5 {
        revisions.push(commit(store, Txn::new().put("a", i.to_string())).await);
    }
    for (i, after) in revisions.iter().enumerate() {
        let mut watch = store.watch("", *after).await.unwrap();
        for expected in &revisions[i + 1..] {
            assert_eq!(next(&mut watch).await[0].revision, *expected);
        }
        let new = commit(store, Txn::new().put("b", "1")).await;
        loop {
            // Behind `revisions` stand the commits of the rounds before.
            let seen = next(&mut watch).await[0].revision;
            assert!(seen <= new);
            if seen == new {
                break;
            }
        }
    }
}

/// A watch that waits is woken; one whose wait was cancelled has lost nothing.
pub async fn a_waiting_watch_wakes(store: &dyn MetaStore) {
    let start = commit(store, Txn::new().put("a", "0")).await;
    let mut watch = store.watch("", start).await.unwrap();
    let write = async {
        tokio::task::yield_now().await;
        commit(store, Txn::new().put("a", "1")).await
    };
    let (events, revision) = tokio::join!(next(&mut watch), write);
    assert_eq!(events[0].revision, revision);

    // Cancelled in the middle of its wait, over and over.
    let mut expected = Vec::new();
    for i in 0..COMMITS {
        tokio::select! {
            biased;
            events = watch.next() => {
                let event = &events.unwrap()[0];
                assert_eq!(event.revision, expected.remove(0));
            }
            () = tokio::task::yield_now() => {}
        }
        expected.push(commit(store, Txn::new().put("a", i.to_string())).await);
    }
    for revision in expected {
        assert_eq!(next(&mut watch).await[0].revision, revision);
    }
}

/// A list and a watch from its revision together are the state, at any moment
/// and with any number of writers.
pub async fn a_watch_continues_a_list_without_a_gap(store: &dyn MetaStore) {
    const WRITERS: u64 = 4;
    let write = |writer: u64| async move {
        for i in 0..COMMITS / WRITERS {
            let (key, other) = (format!("w/{writer}/{}", i % 7), format!("w/{writer}/{}", i % 5));
            commit(store, Txn::new().delete(other).put(key, i.to_string())).await;
        }
    };
    let follow = |pauses: u64| async move {
        for _ in 0..pauses {
            tokio::task::yield_now().await;
        }
        let (entries, revision) = store.list("w/", None, 1000).await.unwrap();
        let state: BTreeMap<String, Vec<u8>> =
            entries.into_iter().map(|(key, found)| (key, found.value.to_vec())).collect();
        (state, store.watch("w/", revision).await.unwrap())
    };
    let followers = async { tokio::join!(follow(0), follow(20), follow(200)) };
    let (_, _, _, _, (a, b, c)) = tokio::join!(write(0), write(1), write(2), write(3), followers);

    let done: Revision = commit(store, Txn::new().put("w/done", "1")).await;
    let (entries, _) = store.list("w/", None, 1000).await.unwrap();
    let expected: BTreeMap<String, Vec<u8>> =
        entries.into_iter().map(|(key, found)| (key, found.value.to_vec())).collect();
    for (mut state, mut watch) in [a, b, c] {
        let mut last = 0;
        while last < done {
            for event in next(&mut watch).await {
                assert!(event.revision >= last);
                last = event.revision;
                match event.value {
                    Some(value) => state.insert(event.key, value.to_vec()),
                    None => state.remove(&event.key),
                };
            }
        }
        assert_eq!(state, expected);
    }
}
