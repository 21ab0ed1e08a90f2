//! Epochs: who may write.

use crate::error::JournalError;
use crate::keys::Keys;
use crate::{Epoch, record};
use hearth_ambient::random;
use hearth_services::metastore::{MetaStore, MetaStoreError, Revision, Txn, TxnOutcome};
use hearth_types::Partition;
use serde::{Deserialize, Serialize};

/// One reign: all that a writer needs to prove that it is its own still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    /// Its number.
    pub(crate) epoch: Epoch,
    /// What wrote it down.
    revision: Revision,
}

/// As it lies in the store.
#[derive(Serialize, Deserialize)]
struct Stored {
    epoch: Epoch,
    /// For people.
    writer: String,
    /// Tells apart who began it.
    mark: [u8; 16],
}

impl Term {
    /// The number of the one of now.
    pub(crate) async fn now(
        store: &dyn MetaStore,
        partition: Partition,
    ) -> Result<Epoch, JournalError> {
        Ok(Self::read(store, partition).await?.map_or(0, |(term, _)| term.epoch))
    }

    async fn read(
        store: &dyn MetaStore,
        partition: Partition,
    ) -> Result<Option<(Self, Stored)>, JournalError> {
        let key = partition.epoch();
        let Some(found) = store.get(&key).await? else { return Ok(None) };
        let stored: Stored = record::decode(&key, &found.value)?;
        Ok(Some((Self { epoch: stored.epoch, revision: found.revision }, stored)))
    }

    /// Begins the next one: from when this returns, nothing is written in an older one.
    pub(crate) async fn begin(
        store: &dyn MetaStore,
        partition: Partition,
        writer: &str,
    ) -> Result<Self, JournalError> {
        let key = partition.epoch();
        let before = Self::read(store, partition).await?.map(|(term, _)| term);
        let epoch = before.map_or(1, |before| before.epoch + 1);
        let txn = match before {
            Some(before) => before.guard(partition),
            None => Txn::new().absent(&key),
        };
        let ours = Stored { epoch, writer: writer.to_owned(), mark: random::bytes() };
        let lost = match store.transact(txn.put(&key, record::encode(&ours))).await {
            Ok(TxnOutcome::Committed(revision)) => return Ok(Self { epoch, revision }),
            Ok(TxnOutcome::Conflict) => None,
            Err(lost @ MetaStoreError::OutcomeUnknown(_)) => Some(lost),
            Err(error) => return Err(error.into()),
        };
        match (Self::read(store, partition).await?, lost) {
            (Some((now, stored)), _) if stored.mark == ours.mark => Ok(now),
            // It may begin yet, with nobody who writes in it: others begin the next.
            (now, Some(lost)) if now.as_ref().map(|(now, _)| *now) == before => Err(lost.into()),
            (now, _) => Err(JournalError::Deposed(now.map_or(0, |(now, _)| now.epoch))),
        }
    }

    /// A transaction that happens only in this epoch.
    pub(crate) fn guard(&self, partition: Partition) -> Txn {
        Txn::new().unchanged(partition.epoch(), self.revision)
    }
}
