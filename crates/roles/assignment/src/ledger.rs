//! What of a partition's sandboxes outlives its leader: that they are, whose and where.
//! Who runs an event is not in here; workers know that.
//!
//! ```text
//! Placing ─► Ready ─► Ended          each at most once for a sandbox; Ready may come late
//! ```

use bytes::Bytes;
use hearth_journal::{Item, Seq};
use hearth_sandboxes::Owned;
use hearth_services::keys;
use hearth_types::{SandboxId, WorkerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Record {
    /// It is about to be created, somewhere.
    Placing(SandboxId, Owned),
    /// It was.
    Ready(SandboxId, WorkerId),
    /// It is no more, or is about to be killed.
    Ended(SandboxId),
}

/// What the journal says that there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) sandboxes: BTreeMap<SandboxId, Owned>,
    /// The last entry that it knows of.
    pub(crate) upto: Seq,
}

/// The journal holds what nobody here wrote.
#[derive(Debug, thiserror::Error)]
#[error("entry {seq} of the journal does not decode: it is damaged, or of a newer version")]
pub struct BadEntry {
    seq: Seq,
    #[source]
    source: serde_json::Error,
}

impl Ledger {
    /// Takes what comes next.
    pub(crate) fn take(&mut self, item: Item) -> Result<(), BadEntry> {
        match item {
            Item::State { upto, state } => {
                let bad = |source| BadEntry { seq: upto, source };
                let sandboxes: Vec<(SandboxId, Owned)> = keys::decode(&state).map_err(bad)?;
                *self = Self { sandboxes: sandboxes.into_iter().collect(), upto };
            }
            Item::Entry(entry) => {
                for record in &entry.records {
                    let bad = |source| BadEntry { seq: entry.seq, source };
                    self.apply(keys::decode(record).map_err(bad)?);
                }
                self.upto = entry.seq;
            }
        }
        Ok(())
    }

    fn apply(&mut self, record: Record) {
        match record {
            Record::Placing(id, owned) => {
                self.sandboxes.insert(id, owned);
            }
            Record::Ready(id, worker) => {
                if let Some(owned) = self.sandboxes.get_mut(&id) {
                    owned.worker = Some(worker);
                }
            }
            Record::Ended(id) => {
                self.sandboxes.remove(&id);
            }
        }
    }
}

/// The state of a checkpoint.
pub(crate) fn state(sandboxes: &[(SandboxId, Owned)]) -> Bytes {
    keys::encode(&sandboxes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_journal::Entry;
    use hearth_sandboxes::testing::version_of;
    use hearth_types::{RevisionId, Timestamp};

    fn entry(seq: Seq, records: &[Record]) -> Item {
        Item::Entry(Entry { seq, epoch: 1, records: records.iter().map(keys::encode).collect() })
    }

    #[test]
    fn a_state_and_what_follows_say_what_all_entries_said() {
        let version = version_of("111111111111", RevisionId::new());
        let owned = Owned {
            key: version.key.clone().into(),
            memory: version.memory,
            room: version.room(),
            created: Timestamp(1),
            worker: None,
        };
        let ids: Vec<SandboxId> = (0..3).map(|_| SandboxId::new()).collect();
        let worker = WorkerId::new();
        let placing = |n: usize| Record::Placing(ids[n], owned.clone());
        let entries = [
            entry(1, &[placing(0), placing(1)]),
            entry(2, &[Record::Ready(ids[0], worker), Record::Ended(ids[1])]),
            entry(3, &[placing(2), Record::Ended(ids[1])]),
        ];
        let mut whole = Ledger::default();
        for item in entries.clone() {
            whole.take(item).unwrap();
        }
        let left: Vec<_> = whole.sandboxes.keys().copied().collect();
        let mut expected = vec![ids[0], ids[2]];
        expected.sort();
        assert_eq!((left, whole.upto), (expected, 3));
        assert_eq!(whole.sandboxes[&ids[0]].worker, Some(worker));

        // A state may be of a moment after the entry that it is named by: what it has
        // already happens once more.
        let states: Vec<_> = whole.sandboxes.clone().into_iter().collect();
        let mut resumed = Ledger::default();
        resumed.take(Item::State { upto: 1, state: state(&states) }).unwrap();
        for item in entries.into_iter().skip(1) {
            resumed.take(item).unwrap();
        }
        assert_eq!(resumed, whole);
        let bad = Item::Entry(Entry { seq: 4, epoch: 1, records: vec!["{".into()] });
        assert!(resumed.take(bad).unwrap_err().to_string().contains("entry 4"));
    }
}
