//! A read-through cache of metadata records that a watch keeps true.
//!
//! ```text
//!            load begins            load ends, still Loading
//!  (absent) ────────────► Loading ─────────────────────────► Known(revision)
//!      ▲                     │ event or forget                 │ event: newer value
//!      └─────────────────────┴─────────────────────────────────┘ or forget: absent
//! ```
//!
//! A load stores its result only over its own `Loading` mark. Any event for the
//! key, and any `forget`, removes the mark, so a value that was read before a
//! change can never settle after it. While the watch is down nothing is cached
//! and every read goes to the store.

use crate::options::CACHE_ENTRIES_MAX;
use hearth_services::metastore::{Event, MetaStore, MetaStoreError, Revision};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Pause before a failed watch is begun again.
const REWATCH_PAUSE: Duration = Duration::from_millis(200);

/// Reads a record out of a stored value.
type Decode<T> = fn(&[u8]) -> Result<T, serde_json::Error>;

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The store did.
    #[error("the metadata store could not be read")]
    Store(#[source] MetaStoreError),
    /// The record is damaged.
    #[error("a metadata record cannot be decoded")]
    Decode(#[source] serde_json::Error),
}

/// The cache of all records under one prefix.
pub(crate) struct WatchedCache<T> {
    store: Arc<dyn MetaStore>,
    prefix: &'static str,
    decode: Decode<T>,
    state: RwLock<State<T>>,
}

struct State<T> {
    /// Whether a watch is up, so that entries may be believed.
    watched: bool,
    /// Tells loads apart.
    next_load: u64,
    entries: HashMap<String, Entry<T>>,
}

enum Entry<T> {
    Loading(u64),
    Known(Revision, Arc<T>),
}

impl<T: Send + Sync + 'static> WatchedCache<T> {
    pub(crate) fn new(store: Arc<dyn MetaStore>, prefix: &'static str, decode: Decode<T>) -> Self {
        let state = State { watched: false, next_load: 0, entries: HashMap::new() };
        Self { store, prefix, decode, state: RwLock::new(state) }
    }

    /// The record under `key`, from memory or else from the store.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Arc<T>>, ReadError> {
        if let Some(Entry::Known(_, record)) = self.state.read().entries.get(key) {
            return Ok(Some(record.clone()));
        }
        let load = self.begin_load(key);
        let found = self.store.get(key).await;
        let result = match found {
            Ok(None) => Ok(None),
            Ok(Some(v)) => (self.decode)(&v.value)
                .map(|record| Some((v.revision, Arc::new(record))))
                .map_err(ReadError::Decode),
            Err(error) => Err(ReadError::Store(error)),
        };
        let known = result.as_ref().ok().and_then(|found| found.clone());
        self.end_load(key, load, known);
        result.map(|found| found.map(|(_, record)| record))
    }

    fn begin_load(&self, key: &str) -> Option<u64> {
        let mut state = self.state.write();
        if !state.watched {
            return None;
        }
        if state.entries.len() >= CACHE_ENTRIES_MAX && !state.entries.contains_key(key) {
            // Which one goes hardly matters at this size; the map's own order is
            // as good as random.
            let victim = state.entries.keys().next().cloned();
            victim.and_then(|key| state.entries.remove(&key));
        }
        state.next_load += 1;
        let load = state.next_load;
        state.entries.insert(key.to_owned(), Entry::Loading(load));
        Some(load)
    }

    fn end_load(&self, key: &str, load: Option<u64>, known: Option<(Revision, Arc<T>)>) {
        let Some(load) = load else { return };
        let mut state = self.state.write();
        if !matches!(state.entries.get(key), Some(Entry::Loading(mark)) if *mark == load) {
            return;
        }
        match known {
            Some((revision, record)) => {
                state.entries.insert(key.to_owned(), Entry::Known(revision, record));
            }
            // Absence is not cached: it would let strangers fill the memory.
            None => {
                state.entries.remove(key);
            }
        }
    }

    /// Forgets `key`, so that the next read sees what the store holds now.
    pub(crate) fn forget(&self, key: &str) {
        self.state.write().entries.remove(key);
    }

    /// Forgets every key under `prefix`.
    pub(crate) fn forget_prefix(&self, prefix: &str) {
        self.state.write().entries.retain(|key, _| !key.starts_with(prefix));
    }

    fn apply(&self, events: Vec<Event>) {
        let mut state = self.state.write();
        for event in events {
            let Some(entry) = state.entries.get(&event.key) else { continue };
            if matches!(entry, Entry::Known(revision, _) if *revision >= event.revision) {
                continue;
            }
            let was_known = matches!(entry, Entry::Known(..));
            let value = event.value.filter(|_| was_known);
            match value.map(|v| (self.decode)(&v)) {
                Some(Ok(record)) => {
                    let entry = Entry::Known(event.revision, Arc::new(record));
                    state.entries.insert(event.key, entry);
                }
                // Deleted, being loaded, or damaged: the next read finds out.
                Some(Err(_)) | None => {
                    state.entries.remove(&event.key);
                }
            }
        }
    }

    /// Follows the store until `shutdown`, beginning again whenever the watch
    /// fails or its history was compacted away.
    pub(crate) async fn follow(&self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let followed = tokio::select! {
                followed = self.follow_once() => followed,
                () = shutdown.cancelled() => return,
            };
            {
                let mut state = self.state.write();
                state.watched = false;
                state.entries.clear();
            }
            match followed {
                Err(MetaStoreError::Compacted { .. }) => {}
                Err(error) => {
                    tracing::warn!(
                        prefix = self.prefix,
                        error = &error as &dyn std::error::Error,
                        "watching the metadata store failed; trying again"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(REWATCH_PAUSE) => {}
                        () = shutdown.cancelled() => return,
                    }
                }
                Ok(never) => match never {},
            }
        }
    }

    async fn follow_once(&self) -> Result<std::convert::Infallible, MetaStoreError> {
        // Only the revision is wanted: reads that begin after it see it or later.
        let (_, revision) = self.store.list(self.prefix, None, 1).await?;
        let mut watch = self.store.watch(self.prefix, revision).await?;
        self.state.write().watched = true;
        loop {
            self.apply(watch.next().await?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_metastore::RedbStore;
    use hearth_services::metastore::Txn;

    fn text(value: &[u8]) -> Result<String, serde_json::Error> {
        serde_json::from_slice(value)
    }

    async fn put(store: &RedbStore, value: &str) -> Revision {
        let txn = Txn::new().put("k/a", format!("{value:?}"));
        match store.transact(txn).await.unwrap() {
            hearth_services::metastore::TxnOutcome::Committed(revision) => revision,
            other => panic!("{other:?}"),
        }
    }

    struct Fixture {
        store: Arc<RedbStore>,
        cache: Arc<WatchedCache<String>>,
        _dir: tempfile::TempDir,
    }

    fn fixture() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(RedbStore::open(&dir.path().join("m")).unwrap());
        let cache = Arc::new(WatchedCache::new(store.clone(), "k/", text));
        Fixture { store, cache, _dir: dir }
    }

    impl Fixture {
        async fn get(&self) -> Option<String> {
            self.cache.get("k/a").await.unwrap().map(|v| v.to_string())
        }
        fn cached(&self) -> bool {
            matches!(self.cache.state.read().entries.get("k/a"), Some(Entry::Known(..)))
        }
    }

    #[tokio::test]
    async fn without_a_watch_nothing_is_believed() {
        let f = fixture();
        put(&f.store, "one").await;
        assert_eq!(f.get().await.as_deref(), Some("one"));
        assert!(!f.cached());
    }

    #[tokio::test]
    async fn a_watched_value_is_kept_and_replaced() {
        let f = fixture();
        put(&f.store, "one").await;
        let cache = f.cache.clone();
        let following = tokio::spawn(async move { cache.follow(CancellationToken::new()).await });
        while !f.cached() {
            assert_eq!(f.get().await.as_deref(), Some("one"));
            tokio::task::yield_now().await;
        }
        put(&f.store, "two").await;
        while f.get().await.as_deref() != Some("two") {
            tokio::task::yield_now().await;
        }
        f.store.transact(Txn::new().delete("k/a")).await.unwrap();
        while f.get().await.is_some() {
            tokio::task::yield_now().await;
        }
        following.abort();
    }

    #[tokio::test]
    async fn a_load_that_a_change_overtook_is_not_kept() {
        let f = fixture();
        f.cache.state.write().watched = true;
        let old = put(&f.store, "old").await;
        let load = f.cache.begin_load("k/a");
        let new = put(&f.store, "new").await;
        let value = Some(bytes::Bytes::from_static(b"\"new\""));
        f.cache.apply(vec![Event { revision: new, key: "k/a".into(), value }]);
        f.cache.end_load("k/a", load, Some((old, Arc::new("old".into()))));
        assert!(!f.cached());
        assert_eq!(f.get().await.as_deref(), Some("new"));

        let load = f.cache.begin_load("k/a");
        f.cache.forget("k/a");
        f.cache.end_load("k/a", load, Some((old, Arc::new("old".into()))));
        assert!(!f.cached(), "nor is one that was forgotten meanwhile");
    }

    #[tokio::test]
    async fn an_event_from_before_the_load_changes_nothing() {
        let f = fixture();
        f.cache.state.write().watched = true;
        let first = put(&f.store, "first").await;
        put(&f.store, "second").await;
        assert_eq!(f.get().await.as_deref(), Some("second"));
        f.cache.apply(vec![Event { revision: first, key: "k/a".into(), value: None }]);
        assert!(f.cached());
    }

    #[tokio::test]
    async fn absence_is_not_kept_and_the_size_is_bounded() {
        let f = fixture();
        f.cache.state.write().watched = true;
        for n in 0..CACHE_ENTRIES_MAX + 10 {
            let load = f.cache.begin_load(&format!("k/{n}"));
            f.cache.end_load(&format!("k/{n}"), load, Some((1, Arc::new(String::new()))));
        }
        assert_eq!(f.cache.state.read().entries.len(), CACHE_ENTRIES_MAX);
        assert_eq!(f.get().await, None);
        assert!(!f.cache.state.read().entries.contains_key("k/a"));
    }
}
