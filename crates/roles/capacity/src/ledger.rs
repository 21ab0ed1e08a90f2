//! What of the manager is in the metadata store. All is written only as long as the turn is
//! this node's, in the same transaction: one whose time is over changes nothing.

use crate::coming::Coming;
use hearth_cluster::Turn;
use hearth_forecast::seasonal::Seasonal;
use hearth_services::cluster::StandingRecord;
use hearth_services::keys;
use hearth_services::metastore::{
    LIST_ENTRIES_MAX, MetaStore, MetaStoreError, Op, Txn, TxnOutcome,
};
use hearth_types::WorkerId;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Nothing was read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The turn is another's.
    #[error("another node manages capacity now")]
    Deposed,
    /// The store failed.
    #[error("the metadata store failed")]
    Store(#[from] MetaStoreError),
}

/// What a manager before this one left.
#[derive(Default)]
pub(crate) struct Left {
    pub(crate) standings: BTreeMap<WorkerId, StandingRecord>,
    pub(crate) coming: Coming,
    pub(crate) seasonal: Seasonal,
}

/// The store, as long as the turn lasts.
pub(crate) struct Ledger {
    store: Arc<dyn MetaStore>,
    turn: Turn,
}

impl Ledger {
    pub(crate) fn new(store: Arc<dyn MetaStore>, turn: Turn) -> Self {
        Self { store, turn }
    }

    pub(crate) async fn read(&self) -> Result<Left, MetaStoreError> {
        let mut standings = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let (page, _) =
                self.store.list(keys::WORKERS, after.as_deref(), LIST_ENTRIES_MAX).await?;
            let is_last = page.len() < LIST_ENTRIES_MAX;
            after = page.last().map(|(key, _)| key.clone());
            for (key, found) in page {
                match (keys::worker_of(&key), known(&key, &found.value)) {
                    (Some(worker), Some(record)) => {
                        standings.insert(worker, record);
                    }
                    _ => tracing::warn!(key, "no worker's standing; passed over"),
                }
            }
            if is_last {
                break;
            }
        }
        Ok(Left {
            standings,
            coming: self.get(keys::CAPACITY_COMING).await?.unwrap_or_default(),
            seasonal: self.get(keys::CAPACITY_USE).await?.unwrap_or_default(),
        })
    }

    pub(crate) async fn put_standing(
        &self,
        worker: &WorkerId,
        record: StandingRecord,
    ) -> Result<(), LedgerError> {
        self.write(Op::Put(keys::worker(worker), keys::encode(&record))).await
    }

    /// The worker serves, or is no more.
    pub(crate) async fn clear_standing(&self, worker: &WorkerId) -> Result<(), LedgerError> {
        self.write(Op::Delete(keys::worker(worker))).await
    }

    pub(crate) async fn put_coming(&self, coming: &Coming) -> Result<(), LedgerError> {
        self.write(Op::Put(keys::CAPACITY_COMING.to_owned(), coming.encode())).await
    }

    pub(crate) async fn put_use(&self, seasonal: &Seasonal) -> Result<(), LedgerError> {
        self.write(Op::Put(keys::CAPACITY_USE.to_owned(), keys::encode(seasonal))).await
    }

    async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, MetaStoreError> {
        let found = self.store.get(key).await?;
        Ok(found.and_then(|found| known(key, &found.value)))
    }

    async fn write(&self, op: Op) -> Result<(), LedgerError> {
        let compares = vec![self.turn.holds()];
        match self.store.transact(Txn { compares, ops: vec![op] }).await? {
            TxnOutcome::Committed(_) => Ok(()),
            TxnOutcome::Conflict => Err(LedgerError::Deposed),
        }
    }
}

/// A record, unless it is damaged or of a newer version: the manager then begins anew,
/// which costs time, and nobody's sandbox.
fn known<T: DeserializeOwned>(key: &str, value: &[u8]) -> Option<T> {
    keys::decode(value)
        .inspect_err(|error| tracing::warn!(key, %error, "a record is not used"))
        .ok()
}
