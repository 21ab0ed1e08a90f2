//! What is seen though the watch has not told yet.

use super::*;
use async_trait::async_trait;
use hearth_metastore::RedbStore;
use hearth_services::metastore::{
    Event, Lease, LeaseId, MetaStoreError, Revision, Txn, TxnOutcome, Versioned, Watch,
};
use hearth_types::testing::version_of;
use hearth_types::{AliasName, RevisionId, VersionKey};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A store whose watches never get round to telling anything.
struct Silent {
    inner: RedbStore,
    gets: AtomicUsize,
}

struct NoNews;

#[async_trait]
impl Watch for NoNews {
    async fn next(&mut self) -> Result<Vec<Event>, MetaStoreError> {
        std::future::pending().await
    }
}

#[async_trait]
impl MetaStore for Silent {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, MetaStoreError> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        self.inner.get(key).await
    }
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(String, Versioned)>, Revision), MetaStoreError> {
        self.inner.list(prefix, after, limit).await
    }
    async fn transact(&self, txn: Txn) -> Result<TxnOutcome, MetaStoreError> {
        self.inner.transact(txn).await
    }
    async fn watch(&self, _: &str, _: Revision) -> Result<Box<dyn Watch>, MetaStoreError> {
        Ok(Box::new(NoNews))
    }
    async fn grant_lease(&self, ttl: Duration) -> Result<Lease, MetaStoreError> {
        self.inner.grant_lease(ttl).await
    }
    async fn keep_lease(&self, lease: LeaseId) -> Result<(), MetaStoreError> {
        self.inner.keep_lease(lease).await
    }
    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), MetaStoreError> {
        self.inner.revoke_lease(lease).await
    }
}

struct Fixture {
    store: Arc<Silent>,
    config: Arc<Config>,
    version: FunctionVersion,
    _following: tokio_util::task::AbortOnDropHandle<()>,
    _dir: tempfile::TempDir,
}

impl Fixture {
    /// Version 1 of a function, active and cached.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let inner = RedbStore::open(&dir.path().join("m")).unwrap();
        let store = Arc::new(Silent { inner, gets: AtomicUsize::new(0) });
        let config = Arc::new(Config::new(&(store.clone() as Arc<dyn MetaStore>)));
        let following = config.clone();
        let following =
            tokio::spawn(async move { following.follow(CancellationToken::new()).await });
        let number = Version::Published(1);
        let version = version_of("123456789012", "f", number, RevisionId::new());
        let _following = tokio_util::task::AbortOnDropHandle::new(following);
        let f = Self { store, config, version, _following, _dir: dir };
        f.put_function(BTreeMap::new()).await;
        f.put(State::Active).await;
        loop {
            let before = f.store.gets.load(Ordering::SeqCst);
            assert_eq!(f.state().await, State::Active);
            if f.store.gets.load(Ordering::SeqCst) == before {
                return f;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn put_function(&self, aliases: BTreeMap<AliasName, AliasRecord>) {
        let record = FunctionRecord { tags: BTreeMap::new(), next_version: 2, aliases };
        let key = keys::function(&self.version.key.account, &self.version.key.function);
        self.store.transact(Txn::new().put(key, keys::encode(&record))).await.unwrap();
    }

    async fn put(&self, state: State) {
        let version = FunctionVersion { state, ..self.version.clone() };
        let VersionKey { account, function, version: number, .. } = &version.key;
        let key = keys::version(account, function, *number);
        self.store.transact(Txn::new().put(key, keys::encode(&version))).await.unwrap();
    }

    async fn state(&self) -> State {
        let VersionKey { account, function, version, .. } = &self.version.key;
        self.config.version(account, function, *version).await.unwrap().unwrap().state
    }

    async fn alias(&self) -> Option<Version> {
        let VersionKey { account, function, .. } = &self.version.key;
        let found = self.config.alias(account, function, "live").await.unwrap();
        found.map(|alias| alias.version)
    }
}

#[tokio::test]
async fn the_end_of_a_pending_version_is_seen_before_the_watch_tells() {
    let f = Fixture::new().await;
    f.put(State::Pending).await;
    assert_eq!(f.state().await, State::Active, "what is active is believed to be");
    let VersionKey { account, function, .. } = &f.version.key;
    f.config.deleted(account, function);
    assert_eq!(f.state().await, State::Pending);
    f.put(State::Active).await;
    assert_eq!(f.state().await, State::Active);
}

#[tokio::test]
async fn a_change_of_an_alias_is_seen_before_the_watch_tells() {
    let f = Fixture::new().await;
    assert_eq!(f.alias().await, None);
    let record = AliasRecord {
        description: String::new(),
        revision: RevisionId::new(),
        version: Version::Published(1),
        additional: None,
        before: None,
    };
    f.put_function(BTreeMap::from([("live".parse().unwrap(), record)])).await;
    assert_eq!(f.alias().await, None, "the record is believed");
    f.config.changed(&f.version.key.account, &f.version.key.function);
    assert_eq!(f.alias().await, Some(Version::Published(1)));
}
