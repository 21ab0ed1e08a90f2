//! Checkpoints: a state that stands for all entries up to one. It is written in parts,
//! then named, then what it replaces goes; all of it under the writer's epoch. A writer
//! that ends in between leaves parts that nobody names, and the next checkpoint takes
//! them along.

use crate::epoch::Term;
use crate::error::JournalError;
use crate::keys::Keys;
use crate::{Seq, record};
use bytes::{Bytes, BytesMut};
use hearth_ambient::random;
use hearth_services::metastore::{
    MetaStore, Revision, TXN_OPS_MAX, Txn, TxnOutcome, VALUE_BYTES_MAX,
};
use hearth_types::Partition;
use serde::{Deserialize, Serialize};

/// Largest state.
pub const STATE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Parts listed at once, each as large as a value may be.
const PARTS_LISTED: usize = 4;
/// How often a state is read anew because another took its place meanwhile.
const READS_MAX: usize = 8;

/// As it lies in the store.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// The last entry that it stands for.
    pub(crate) upto: Seq,
    mark: u128,
    parts: u32,
}

impl Checkpoint {
    /// The one of now, and what wrote it.
    async fn of(
        store: &dyn MetaStore,
        partition: Partition,
    ) -> Result<(Self, Option<Revision>), JournalError> {
        let key = partition.checkpoint();
        match store.get(&key).await? {
            Some(found) => Ok((record::decode(&key, &found.value)?, Some(found.revision))),
            None => Ok((Self::default(), None)),
        }
    }

    /// The last entry that a state stands for.
    pub(crate) async fn upto(
        store: &dyn MetaStore,
        partition: Partition,
    ) -> Result<Seq, JournalError> {
        Ok(Self::of(store, partition).await?.0.upto)
    }

    /// The one of now with its state, if it stands for `entry`.
    pub(crate) async fn of_entry(
        store: &dyn MetaStore,
        partition: Partition,
        entry: Seq,
    ) -> Result<Option<(Self, Bytes)>, JournalError> {
        for _ in 0..READS_MAX {
            let (checkpoint, _) = Self::of(store, partition).await?;
            if checkpoint.upto < entry {
                return Ok(None);
            }
            if let Some(state) = checkpoint.state(store, partition).await? {
                return Ok(Some((checkpoint, state)));
            }
        }
        Err(JournalError::Damaged(partition.checkpoint()))
    }

    /// Nothing if a part is gone.
    async fn state(
        &self,
        store: &dyn MetaStore,
        partition: Partition,
    ) -> Result<Option<Bytes>, JournalError> {
        let mut state = BytesMut::new();
        for part in 0..self.parts {
            let key = partition.part(self.upto, self.mark, part);
            match store.get(&key).await? {
                Some(found) => state.extend_from_slice(&found.value),
                None => return Ok(None),
            }
        }
        Ok(Some(state.freeze()))
    }
}

/// Writes checkpoints in one epoch.
pub(crate) struct Checkpointer<'a> {
    pub(crate) store: &'a dyn MetaStore,
    pub(crate) partition: Partition,
    pub(crate) term: &'a Term,
}

impl Checkpointer<'_> {
    /// Has `state` stand for the entries up to `upto`, unless a later one stands there.
    pub(crate) async fn write(&self, upto: Seq, state: &Bytes) -> Result<(), JournalError> {
        if state.len() > STATE_BYTES_MAX {
            return Err(JournalError::TooLarge(state.len()));
        }
        let (before, revision) = Checkpoint::of(self.store, self.partition).await?;
        if before.upto < upto {
            let mark = u128::from_le_bytes(random::bytes());
            let parts = self.write_parts(upto, mark, state).await?;
            let ours = Checkpoint { upto, mark, parts };
            let key = self.partition.checkpoint();
            let txn = self.term.guard(self.partition);
            // Nor may one whose answer is lost come into force later, in place of a newer one.
            let txn = match revision {
                Some(revision) => txn.unchanged(&key, revision),
                None => txn.absent(&key),
            };
            self.commit(txn.put(&key, record::encode(&ours))).await?;
        }
        self.trim().await
    }

    async fn write_parts(&self, upto: Seq, mark: u128, state: &Bytes) -> Result<u32, JournalError> {
        let mut parts = 0;
        for at in (0..state.len()).step_by(VALUE_BYTES_MAX) {
            let part = state.slice(at..state.len().min(at + VALUE_BYTES_MAX));
            let key = self.partition.part(upto, mark, parts);
            self.commit(self.term.guard(self.partition).put(key, part)).await?;
            parts += 1;
        }
        Ok(parts)
    }

    /// Removes what nobody needs any more. Values come along with what is listed, so that is
    /// little at a time.
    async fn trim(&self) -> Result<(), JournalError> {
        let (now, _) = Checkpoint::of(self.store, self.partition).await?;
        self.trim_entries(now.upto).await?;
        self.trim_states(&self.partition.state(now.upto, now.mark)).await
    }

    async fn trim_entries(&self, upto: Seq) -> Result<(), JournalError> {
        let partition = self.partition;
        loop {
            let (listed, _) = self.store.list(&partition.entries(), None, 1).await?;
            let first = listed.first().and_then(|(key, _)| partition.seq(key));
            let Some(first) = first.filter(|first| *first <= upto) else { return Ok(()) };
            // They are without gaps.
            let last = upto.min(first + TXN_OPS_MAX as u64 - 1);
            let keys = (first..=last).map(|seq| partition.entry(seq));
            self.commit(keys.fold(self.term.guard(partition), Txn::delete)).await?;
        }
    }

    /// `own` is what the keys of the state of now begin with.
    async fn trim_states(&self, own: &str) -> Result<(), JournalError> {
        let states = self.partition.states();
        let mut after: Option<String> = None;
        loop {
            let listed = self.store.list(&states, after.as_deref(), PARTS_LISTED).await?.0;
            let is_last = listed.len() < PARTS_LISTED;
            let (stay, go): (Vec<String>, Vec<String>) =
                listed.into_iter().map(|(key, _)| key).partition(|key| key.starts_with(own));
            if !go.is_empty() {
                self.commit(go.into_iter().fold(self.term.guard(self.partition), Txn::delete))
                    .await?;
            }
            if is_last {
                return Ok(());
            }
            if !stay.is_empty() {
                // Behind all of its parts, whose names are digits.
                after = Some(format!("{own}~"));
            }
        }
    }

    async fn commit(&self, txn: Txn) -> Result<(), JournalError> {
        match self.store.transact(txn).await? {
            TxnOutcome::Committed(_) => Ok(()),
            TxnOutcome::Conflict => match Term::now(self.store, self.partition).await? {
                now if now == self.term.epoch => Err(JournalError::Overtaken),
                now => Err(JournalError::Deposed(now)),
            },
        }
    }
}
