//! A mirror of the records under a prefix of the metadata store.

use hearth_services::keys;
use hearth_services::metastore::{
    Event, LIST_ENTRIES_MAX, MetaStore, MetaStoreError, Revision, Watch,
};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Pause before a store that failed is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// A record, and what wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<T> {
    /// The transaction that wrote it.
    pub revision: Revision,
    /// The record.
    pub record: T,
}

/// All records, by key.
pub type Records<T> = Arc<BTreeMap<String, Seen<T>>>;

/// The mirror. While the store cannot be reached it stays what it was. Cheap to clone.
#[derive(Clone)]
pub struct View<T> {
    records: watch::Receiver<Records<T>>,
}

/// The records could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the metadata store failed")]
pub struct ViewError(#[from] MetaStoreError);

impl<T: DeserializeOwned + Clone + Send + Sync + 'static> View<T> {
    /// Reads all records under `prefix`, and follows them in a task that whoever holds the
    /// handle has to end.
    pub async fn start(
        store: Arc<dyn MetaStore>,
        prefix: &'static str,
    ) -> Result<(Self, JoinHandle<Infallible>), ViewError> {
        let (listed, revision) = list(&*store, prefix).await?;
        let (sender, records) = watch::channel(Arc::new(listed));
        let task = hearth_tasks::spawn("view", follow(store, prefix, sender, revision));
        Ok((Self { records }, task))
    }

    /// The records as they are known now.
    pub fn now(&self) -> Records<T> {
        self.records.borrow().clone()
    }

    /// To wait for a change with.
    pub fn subscribe(&self) -> watch::Receiver<Records<T>> {
        self.records.clone()
    }
}

async fn follow<T: DeserializeOwned + Clone + Send + Sync + 'static>(
    store: Arc<dyn MetaStore>,
    prefix: &'static str,
    records: watch::Sender<Records<T>>,
    mut revision: Revision,
) -> Infallible {
    let mut watch: Option<Box<dyn Watch>> = None;
    loop {
        let error = match step(&*store, prefix, &records, &mut watch, &mut revision).await {
            Ok(()) => continue,
            Err(error) => error,
        };
        watch = None;
        let mut failure = Some(error);
        // What was compacted is read anew.
        if let Some(ViewError(MetaStoreError::Compacted { .. })) = failure {
            failure = match list(&*store, prefix).await {
                Ok((listed, now)) => {
                    records.send_replace(Arc::new(listed));
                    revision = now;
                    None
                }
                Err(error) => Some(error),
            };
        }
        if let Some(error) = failure {
            tracing::warn!(
                prefix,
                error = &error as &dyn std::error::Error,
                "records cannot be followed; trying again"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn step<T: DeserializeOwned + Clone>(
    store: &dyn MetaStore,
    prefix: &'static str,
    records: &watch::Sender<Records<T>>,
    watch: &mut Option<Box<dyn Watch>>,
    revision: &mut Revision,
) -> Result<(), ViewError> {
    let watch = match watch {
        Some(watch) => watch,
        none => none.insert(store.watch(prefix, *revision).await?),
    };
    let events = watch.next().await?;
    let mut now = BTreeMap::clone(&records.borrow());
    for event in events {
        *revision = event.revision;
        apply(&mut now, event);
    }
    records.send_replace(Arc::new(now));
    Ok(())
}

fn apply<T: DeserializeOwned>(
    records: &mut BTreeMap<String, Seen<T>>,
    Event { revision, key, value }: Event,
) {
    match value.and_then(|value| decode(&key, &value)) {
        Some(record) => {
            records.insert(key, Seen { revision, record });
        }
        None => {
            records.remove(&key);
        }
    }
}

async fn list<T: DeserializeOwned>(
    store: &dyn MetaStore,
    prefix: &'static str,
) -> Result<(BTreeMap<String, Seen<T>>, Revision), ViewError> {
    let mut records = BTreeMap::new();
    let (mut first, mut after) = (None, None::<String>);
    loop {
        let (page, revision) = store.list(prefix, after.as_deref(), LIST_ENTRIES_MAX).await?;
        // What changes while later pages are read the watch tells of.
        let since = *first.get_or_insert(revision);
        let is_last = page.len() < LIST_ENTRIES_MAX;
        after = page.last().map(|(key, _)| key.clone());
        for (key, found) in page {
            if let Some(record) = decode(&key, &found.value) {
                records.insert(key, Seen { revision: found.revision, record });
            }
        }
        if is_last {
            return Ok((records, since));
        }
    }
}

/// A record; none if it is of a newer version, which must not hide the others.
fn decode<T: DeserializeOwned>(key: &str, value: &[u8]) -> Option<T> {
    keys::decode(value)
        .inspect_err(|error| {
            tracing::warn!(key, %error, "a record is damaged, or of a newer version; going on without");
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_metastore::RedbStore;
    use hearth_services::metastore::Txn;

    #[tokio::test]
    async fn a_view_shows_what_there_is_and_what_becomes_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(RedbStore::open(&dir.path().join("meta")).unwrap());
        let put = |key: &str, n: u32| Txn::new().put(key, keys::encode(&n));
        store.transact(put("node/a", 1)).await.unwrap();
        let (view, task) = View::<u32>::start(store.clone(), keys::NODES).await.unwrap();
        assert_eq!(view.now()["node/a"].record, 1);
        let mut changes = view.subscribe();
        store.transact(put("node/b", 2).delete("node/a").put("other", "x")).await.unwrap();
        let now = changes.wait_for(|now| now.len() == 1 && now.contains_key("node/b")).await;
        assert_eq!(now.unwrap()["node/b"].record, 2);
        // A record that makes no sense does not hide the others.
        store.transact(Txn::new().put("node/c", "{")).await.unwrap();
        store.transact(put("node/c", 3)).await.unwrap();
        changes.wait_for(|now| now.contains_key("node/c")).await.unwrap();
        task.abort();
    }
}
