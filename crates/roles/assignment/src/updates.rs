//! Follows the store's versions, so that a sandbox of code that was updated or
//! deleted serves nobody any more.

use crate::AssignmentService;
use crate::metrics::{End, ended};
use hearth_services::keys;
use hearth_services::metastore::{Event, MetaStore, MetaStoreError};
use hearth_types::{FunctionVersion, RevisionId};

impl AssignmentService {
    /// Returns only when the store fails.
    pub(crate) async fn follow_versions(&self, store: &dyn MetaStore) -> MetaStoreError {
        loop {
            match self.follow_once(store).await {
                Err(MetaStoreError::Compacted { .. }) => {
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
    ) -> Result<std::convert::Infallible, MetaStoreError> {
        // Where to watch from, learnt before the sandboxes' versions are
        // checked: whatever changes after that is reported by the watch.
        let (_, revision) = store.list(keys::VERSIONS, None, 1).await?;
        let mut watch = store.watch(keys::VERSIONS, revision).await?;
        let known = self.table.lock().versions();
        for version in known {
            let key = keys::version(&version.account, &version.function, version.version);
            let found = store.get(&key).await?;
            let current = found.and_then(|found| revision_of(&key, &found.value));
            self.retire_others(&key, current);
        }
        loop {
            for Event { key, value, .. } in watch.next().await? {
                let current = value.and_then(|value| revision_of(&key, &value));
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

/// What a record that is damaged, or of a newer node's, stands for nobody here knows. So no
/// sandbox is of it, and that is all: other functions have nothing to do with it.
fn revision_of(key: &str, value: &[u8]) -> Option<RevisionId> {
    match keys::decode::<FunctionVersion>(value) {
        Ok(record) => Some(record.key.revision),
        Err(error) => {
            tracing::error!(key, %error, "the record of a version does not decode");
            None
        }
    }
}
