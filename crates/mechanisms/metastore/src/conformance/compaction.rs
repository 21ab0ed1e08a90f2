//! Watches whose history is gone: they say so, and who lists anew has lost nothing.

use super::{Fixture, commit};
use hearth_services::metastore::{Event, MetaStore, MetaStoreError, Revision, Txn};
use std::collections::BTreeMap;

/// How often history is forgotten under a follower.
const FORGOTTEN: u64 = 3;
/// Commits between two such times.
const COMMITS: u64 = 30;

type State = BTreeMap<String, Vec<u8>>;

async fn listed(store: &dyn MetaStore) -> (State, Revision) {
    let (entries, revision) = store.list("f/", None, 1000).await.unwrap();
    (entries.into_iter().map(|(key, found)| (key, found.value.to_vec())).collect(), revision)
}

fn apply(state: &mut State, events: Vec<Event>) -> Revision {
    let mut newest = 0;
    for event in events {
        newest = event.revision;
        match event.value {
            Some(value) => state.insert(event.key, value.to_vec()),
            None => state.remove(&event.key),
        };
    }
    newest
}

/// A watch from before the oldest revision that is left is told which that is, at once
/// or by its first item, and one from there works.
pub async fn a_watch_into_forgotten_history_is_told(fixture: &dyn Fixture) {
    let store = fixture.store();
    let first = commit(store, Txn::new().put("f/a", "1")).await;
    commit(store, Txn::new().put("f/b", "1")).await;
    let last = commit(store, Txn::new().delete("f/a")).await;
    fixture.forget_history().await;
    let told = match store.watch("f/", first).await {
        Ok(mut watch) => {
            let told = watch.next().await;
            assert!(watch.next().await.is_err(), "the error ends it");
            told
        }
        Err(error) => Err(error),
    };
    let Err(MetaStoreError::Compacted { oldest }) = told else { panic!("{told:?}") };
    assert!(oldest >= last, "{oldest} is before {last}");
    let mut watch = store.watch("f/", oldest).await.unwrap();
    let new = commit(store, Txn::new().put("f/c", "1")).await;
    assert_eq!(watch.next().await.unwrap()[0].revision, new);
}

/// A follower that lists anew whenever it is told to ends with the state, however much
/// was put and deleted while it did not look, and however often history was forgotten.
pub async fn a_follower_that_lists_anew_loses_nothing(fixture: &dyn Fixture) {
    let store = fixture.store();
    let (mut state, mut at) = listed(store).await;
    for round in 0..FORGOTTEN {
        for i in 0..COMMITS {
            let gone = format!("f/{}", (round + i) % 7);
            let txn = Txn::new().put(format!("f/{}", i % 11), format!("{round} {i}")).delete(gone);
            commit(store, txn).await;
        }
        // It reads none of this, a part of it, or all, before it is forgotten.
        let mut watch = store.watch("f/", at).await.unwrap();
        for _ in 0..round * COMMITS / 2 {
            at = apply(&mut state, watch.next().await.unwrap());
        }
        drop(watch);
        fixture.forget_history().await;
        let last = commit(store, Txn::new().put("f/last", round.to_string())).await;

        let mut lists = 0;
        while at < last {
            let followed = match store.watch("f/", at).await {
                Ok(mut watch) => watch.next().await,
                Err(error) => Err(error),
            };
            match followed {
                Ok(events) => at = apply(&mut state, events),
                Err(MetaStoreError::Compacted { oldest }) => {
                    assert!(oldest > at, "there was no reason to");
                    (state, at) = listed(store).await;
                    lists += 1;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        assert!(lists <= 1, "a list's revision is one to watch from");
        assert_eq!(state, listed(store).await.0, "in round {round}");
    }
}
