//! What the front end knows of accounts and functions.

use crate::cache::{ReadError, WatchedCache};
use hearth_services::keys::{self, AccessKeyRecord, AliasRecord, FunctionRecord};
use hearth_services::metastore::MetaStore;
use hearth_sigv4::SecretKey;
use hearth_types::{AccessKeyId, AccountId, FunctionName, FunctionVersion, State, Version};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// An access key, ready to verify with.
pub(crate) struct AccessKey {
    pub(crate) account: AccountId,
    pub(crate) secret: SecretKey,
}

/// The caches, and which keys a change touches.
pub(crate) struct Config {
    access_keys: WatchedCache<AccessKey>,
    functions: WatchedCache<FunctionRecord>,
    versions: WatchedCache<FunctionVersion>,
}

impl Config {
    pub(crate) fn new(store: &Arc<dyn MetaStore>) -> Self {
        Self {
            access_keys: WatchedCache::new(store.clone(), keys::ACCESS_KEYS, |value| {
                keys::decode::<AccessKeyRecord>(value).map(|record| AccessKey {
                    account: record.account,
                    secret: SecretKey::new(record.secret),
                })
            }),
            functions: WatchedCache::new(store.clone(), keys::FUNCTIONS, keys::decode),
            versions: WatchedCache::new(store.clone(), keys::VERSIONS, keys::decode),
        }
    }

    pub(crate) async fn access_key(&self, id: &str) -> Result<Option<Arc<AccessKey>>, ReadError> {
        self.access_keys.get(&keys::access_key(&AccessKeyId(id.to_owned()))).await
    }

    /// A version of a function that exists: a deletion removes the function's
    /// record first, and versions that are left then are nobody's.
    pub(crate) async fn version(
        &self,
        account: &AccountId,
        function: &FunctionName,
        version: Version,
    ) -> Result<Option<Arc<FunctionVersion>>, ReadError> {
        if self.functions.get(&keys::function(account, function)).await?.is_none() {
            return Ok(None);
        }
        let key = keys::version(account, function, version);
        let found = self.versions.get(&key).await?;
        if found.as_ref().is_none_or(|version| version.state != State::Pending) {
            return Ok(found);
        }
        // Whoever waits for its end reads that from the store, where it may be told
        // before the watch tells it here.
        self.versions.forget(&key);
        self.versions.get(&key).await
    }

    /// An alias of a function.
    pub(crate) async fn alias(
        &self,
        account: &AccountId,
        function: &FunctionName,
        alias: &str,
    ) -> Result<Option<AliasRecord>, ReadError> {
        let function = self.functions.get(&keys::function(account, function)).await?;
        Ok(function.and_then(|function| function.aliases.get(alias).cloned()))
    }

    /// A control call may have changed this function: whoever asks next must
    /// see it, whether or not the watch has told yet.
    pub(crate) fn changed(&self, account: &AccountId, function: &FunctionName) {
        self.functions.forget(&keys::function(account, function));
        self.versions.forget(&keys::version(account, function, Version::Latest));
    }

    /// The function, or a version of it, is gone.
    pub(crate) fn deleted(&self, account: &AccountId, function: &FunctionName) {
        self.functions.forget(&keys::function(account, function));
        self.versions.forget_prefix(&keys::versions_of(account, function));
    }

    /// Keeps all caches true until `shutdown`.
    pub(crate) async fn follow(&self, shutdown: CancellationToken) {
        tokio::join!(
            self.access_keys.follow(shutdown.clone()),
            self.functions.follow(shutdown.clone()),
            self.versions.follow(shutdown.clone()),
        );
    }
}

#[cfg(test)]
mod tests;
