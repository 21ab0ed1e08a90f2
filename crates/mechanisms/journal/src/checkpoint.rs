//! Checkpoints: a state that stands for all entries up to one. It is written in parts,
//! then named, then what it replaces goes; all of it under the writer's epoch. A writer
//! that ends in between leaves parts that nobody names, and the next checkpoint takes
//! them along.

use crate::epoch::Term;
use crate::error::JournalError;
use crate::keys::Partition;
use crate::{Epoch, Seq, record};
use bytes::{Bytes, BytesMut};
use hearth_services::metastore::{
    MetaStore, Revision, TXN_OPS_MAX, Txn, TxnOutcome, VALUE_BYTES_MAX,
};
use serde::{Deserialize, Serialize};

/// Largest state.
pub const STATE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often a state is read anew because another took its place meanwhile.
const READS_MAX: usize = 8;

/// As it lies in the store.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// The last entry that it stands for.
    pub(crate) upto: Seq,
    epoch: Epoch,
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
            let key = partition.part(self.upto, self.epoch, part);
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
            let parts = self.write_parts(upto, state).await?;
            let ours = Checkpoint { upto, epoch: self.term.epoch, parts };
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

    async fn write_parts(&self, upto: Seq, state: &Bytes) -> Result<u32, JournalError> {
        let mut parts = 0;
        for at in (0..state.len()).step_by(VALUE_BYTES_MAX) {
            let part = state.slice(at..state.len().min(at + VALUE_BYTES_MAX));
            let key = self.partition.part(upto, self.term.epoch, parts);
            self.commit(self.term.guard(self.partition).put(key, part)).await?;
            parts += 1;
        }
        Ok(parts)
    }

    /// Removes what nobody needs any more.
    async fn trim(&self) -> Result<(), JournalError> {
        let (now, _) = Checkpoint::of(self.store, self.partition).await?;
        let last = self.partition.entry(now.upto);
        self.remove(&self.partition.entries(), |key| *key <= *last).await?;
        let own = self.partition.state(now.upto, now.epoch);
        self.remove(&self.partition.states(), |key| !key.starts_with(&own)).await
    }

    /// Removes the keys under a prefix that are to go.
    async fn remove(
        &self,
        prefix: &str,
        goes: impl Fn(&str) -> bool + Send,
    ) -> Result<(), JournalError> {
        let mut after: Option<String> = None;
        loop {
            let listed = self.store.list(prefix, after.as_deref(), TXN_OPS_MAX).await?.0;
            let is_last = listed.len() < TXN_OPS_MAX;
            after = listed.last().map(|(key, _)| key.clone());
            let going: Vec<String> =
                listed.into_iter().map(|(key, _)| key).filter(|key| goes(key)).collect();
            if !going.is_empty() {
                let txn = self.term.guard(self.partition);
                self.commit(going.into_iter().fold(txn, Txn::delete)).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    async fn commit(&self, txn: Txn) -> Result<(), JournalError> {
        match self.store.transact(txn).await? {
            TxnOutcome::Committed(_) => Ok(()),
            TxnOutcome::Conflict => {
                Err(JournalError::Deposed(Term::now(self.store, self.partition).await?))
            }
        }
    }
}
