//! Random histories against a `BTreeMap` that does the same.

use super::Fixture;
use hearth_services::metastore::{
    Compare, Event, MetaStore, Op, Revision, Txn, TxnOutcome, Versioned,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;

const CASES: u32 = 48;
const KEYS: [&str; 6] = ["", "a", "a/", "a/b", "b", "é"];

/// A step of a history. Revisions are chosen by distance from the newest, so
/// that some compares hold and some do not.
#[derive(Clone, Debug)]
struct Step {
    compares: Vec<(usize, Option<u64>)>,
    ops: Vec<(usize, Option<u8>)>,
    list: (usize, Option<usize>, usize),
}

#[derive(Default)]
struct Model {
    entries: BTreeMap<String, Versioned>,
    newest: Revision,
}

/// Every outcome, every list and the watch of everything agree with the model.
pub fn agrees_with_a_model<F: Fixture>(fixture: impl Fn() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&vec(step(), 1..24), |steps| {
            let within = runtime.enter();
            let fixture = fixture();
            drop(within);
            runtime.block_on(check(fixture.store(), steps))
        })
        .unwrap();
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS.len();
    let compares = vec((key.clone(), proptest::option::of(0u64..4)), 0..3);
    let ops = vec((key.clone(), proptest::option::of(any::<u8>())), 0..4);
    let list = (key.clone(), proptest::option::of(key), 0usize..4);
    (compares, ops, list).prop_map(|(compares, ops, list)| Step { compares, ops, list })
}

async fn check(store: &dyn MetaStore, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    let (_, start) = store.list("", None, 1).await.unwrap();
    model.newest = start;
    let mut watch = store.watch("", start).await.unwrap();
    for step in steps {
        let txn = step.txn(&model);
        let outcome = store.transact(txn.clone()).await.unwrap();
        let events = match (model.holds(&txn), outcome) {
            (false, TxnOutcome::Conflict) => Vec::new(),
            (true, TxnOutcome::Committed(revision)) => model.apply(&txn, revision),
            (holds, outcome) => {
                return Err(TestCaseError::fail(format!("{txn:?}: {holds} but {outcome:?}")));
            }
        };
        if !events.is_empty() {
            prop_assert_eq!(watch.next().await.unwrap(), events);
        }
        let (prefix, after, limit) = step.list;
        let (prefix, after) = (KEYS[prefix], after.map(|i| KEYS[i]));
        let (listed, _) = store.list(prefix, after, limit).await.unwrap();
        prop_assert_eq!(listed, model.list(prefix, after, limit));
        for key in KEYS {
            prop_assert_eq!(store.get(key).await.unwrap(), model.entries.get(key).cloned());
        }
    }
    Ok(())
}

impl Step {
    fn txn(&self, model: &Model) -> Txn {
        let key = |i: usize| KEYS[i].to_owned();
        let compare = |(i, age): &(usize, Option<u64>)| match age {
            None => Compare::Absent(key(*i)),
            // Age 0 is the key's own revision, if it has one.
            Some(0) => {
                let own = model.entries.get(KEYS[*i]).map_or(0, |found| found.revision);
                Compare::RevisionIs(key(*i), own)
            }
            Some(age) => Compare::RevisionIs(key(*i), model.newest.saturating_sub(age - 1)),
        };
        let op = |(i, value): &(usize, Option<u8>)| match value {
            Some(value) => Op::Put(key(*i), vec![*value].into()),
            None => Op::Delete(key(*i)),
        };
        Txn {
            compares: self.compares.iter().map(compare).collect(),
            ops: self.ops.iter().map(op).collect(),
        }
    }
}

impl Model {
    fn holds(&self, txn: &Txn) -> bool {
        txn.compares.iter().all(|compare| match compare {
            Compare::Absent(key) => !self.entries.contains_key(key),
            Compare::RevisionIs(key, revision) => {
                self.entries.get(key).is_some_and(|found| found.revision == *revision)
            }
        })
    }

    fn apply(&mut self, txn: &Txn, revision: Revision) -> Vec<Event> {
        // Not `Txn::effects`, which is what engines use.
        let mut last = BTreeMap::new();
        for op in &txn.ops {
            last.insert(op.key().to_owned(), op.value().cloned());
        }
        last.retain(|key, value| value.is_some() || self.entries.contains_key(key));
        for (key, value) in &last {
            match value.clone() {
                Some(value) => self.entries.insert(key.clone(), Versioned { value, revision }),
                None => self.entries.remove(key),
            };
        }
        self.newest = revision;
        last.into_iter().map(|(key, value)| Event { revision, key, value }).collect()
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<(String, Versioned)> {
        let matches = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
        let entries = self.entries.iter().filter(|(key, _)| matches(key));
        entries.take(limit).map(|(key, found)| (key.clone(), found.clone())).collect()
    }
}
