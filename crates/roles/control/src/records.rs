//! Typed reads of the metadata store, and the retry of optimistic changes.

use crate::error::internal;
use hearth_services::control::ControlError;
use hearth_services::keys::{self, FunctionRecord};
use hearth_services::metastore::{MetaStore, Revision, Txn, TxnOutcome};
use hearth_types::{AccountId, FunctionName, FunctionVersion, Version};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// How often a change is tried before the caller is told that others keep
/// changing the same function.
pub(crate) const CONFLICT_TRIES_MAX: usize = 16;
/// Entries read at once when a whole prefix is walked.
const WALK_PAGE: usize = 500;

/// A record and the revision to compare with before changing it.
#[derive(Clone, Debug)]
pub(crate) struct Stored<T> {
    pub(crate) record: T,
    pub(crate) revision: Revision,
}

/// The store, speaking in records.
#[derive(Clone)]
pub(crate) struct Records {
    store: Arc<dyn MetaStore>,
}

impl Records {
    pub(crate) fn new(store: Arc<dyn MetaStore>) -> Self {
        Self { store }
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<Stored<T>>, ControlError> {
        let Some(found) = self.store.get(key).await.map_err(internal)? else {
            return Ok(None);
        };
        let record = keys::decode(&found.value).map_err(internal)?;
        Ok(Some(Stored { record, revision: found.revision }))
    }

    pub(crate) async fn function(
        &self,
        account: &AccountId,
        name: &FunctionName,
    ) -> Result<Option<Stored<FunctionRecord>>, ControlError> {
        self.get(&keys::function(account, name)).await
    }

    pub(crate) async fn version(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Version,
    ) -> Result<Option<Stored<FunctionVersion>>, ControlError> {
        self.get(&keys::version(account, name, version)).await
    }

    /// At most `limit` records under `prefix` after the key `after`.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, T)>, ControlError> {
        let (entries, _) = self.store.list(prefix, after, limit).await.map_err(internal)?;
        let decode = |(key, found): (String, hearth_services::metastore::Versioned)| {
            Ok((key, keys::decode(&found.value).map_err(internal)?))
        };
        entries.into_iter().map(decode).collect()
    }

    /// Calls `visit` with every record under `prefix`, in key order, holding
    /// one page of them at a time.
    pub(crate) async fn walk<T: DeserializeOwned>(
        &self,
        prefix: &str,
        mut visit: impl FnMut(String, T),
    ) -> Result<(), ControlError> {
        let mut after: Option<String> = None;
        loop {
            let page = self.list::<T>(prefix, after.as_deref(), WALK_PAGE).await?;
            let more = page.len() == WALK_PAGE;
            for (key, record) in page {
                after = Some(key.clone());
                visit(key, record);
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Whether `txn` was committed; `false` if a compare failed.
    pub(crate) async fn commit(&self, txn: Txn) -> Result<bool, ControlError> {
        Ok(self.commit_at(txn).await?.is_some())
    }

    /// The revision of all that `txn` wrote; none if a compare failed.
    pub(crate) async fn commit_at(&self, txn: Txn) -> Result<Option<Revision>, ControlError> {
        match self.store.transact(txn).await.map_err(internal)? {
            TxnOutcome::Committed(revision) => Ok(Some(revision)),
            TxnOutcome::Conflict => Ok(None),
        }
    }
}
