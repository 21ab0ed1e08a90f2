//! Follows the store's versions, so that a sandbox of code that was updated or
//! deleted serves nobody any more.

use crate::AssignmentService;
use crate::metrics::{End, ended};
use hearth_services::keys;
use hearth_services::metastore::{Event, MetaStore, MetaStoreError};
use hearth_types::{FunctionVersion, RevisionId};

/// Following the store's versions came to an end.
#[derive(Debug, thiserror::Error)]
pub enum UpdatesError {
    /// The store cannot be read.
    #[error("assignment cannot follow the versions in the store")]
    Store(#[from] MetaStoreError),
    /// A version's record is not one.
    #[error("the record {key} does not decode")]
    BadRecord {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl AssignmentService {
    /// Returns only when the store fails.
    pub(crate) async fn follow_versions(&self, store: &dyn MetaStore) -> UpdatesError {
        loop {
            match self.follow_once(store).await {
                Err(UpdatesError::Store(MetaStoreError::Compacted { .. })) => {
                    tracing::info!("fell behind the store's history; reading it all again");
                }
                Err(error) => return error,
                Ok(never) => match never {},
            }
        }
    }

    async fn follow_once(
        &self,
        store: &dyn MetaStore,
    ) -> Result<std::convert::Infallible, UpdatesError> {
        // Where to watch from, learnt before the sandboxes' versions are
        // checked: whatever changes after that is reported by the watch.
        let (_, revision) = store.list(keys::VERSIONS, None, 1).await?;
        let mut watch = store.watch(keys::VERSIONS, revision).await?;
        let known = self.table.lock().versions();
        for version in known {
            let key = keys::version(&version.account, &version.function, version.version);
            let current = match store.get(&key).await? {
                Some(found) => Some(revision_of(&key, &found.value)?),
                None => None,
            };
            self.retire_others(&key, current);
        }
        loop {
            for Event { key, value, .. } in watch.next().await? {
                let current = match value {
                    Some(value) => Some(revision_of(&key, &value)?),
                    None => None,
                };
                self.retire_others(&key, current);
            }
        }
    }

    fn retire_others(&self, store_key: &str, current: Option<RevisionId>) {
        let doomed = self
            .table
            .lock()
            .retire(|k| keys::version(&k.account, &k.function, k.version) == store_key, current);
        ended(End::Retired, doomed.len());
        for (sandbox, worker) in doomed {
            self.kill_in_background(sandbox, worker);
        }
    }
}

fn revision_of(key: &str, value: &[u8]) -> Result<RevisionId, UpdatesError> {
    keys::decode::<FunctionVersion>(value)
        .map(|record| record.key.revision)
        .map_err(|source| UpdatesError::BadRecord { key: key.to_owned(), source })
}
