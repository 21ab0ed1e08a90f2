//! A store that counts, and fails as it is told.

use async_trait::async_trait;
use bytes::Bytes;
use hearth_journal::{Item, Partition, Reader, Writer};
use hearth_metastore::RedbStore;
use hearth_services::metastore::{
    Event, Lease, LeaseId, MetaStore, MetaStoreError, Revision, Txn, TxnOutcome, Versioned, Watch,
};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Notify;

/// The partition of all tests, where one is enough.
pub(crate) const PARTITION: Partition = Partition(7);
/// More than any wait of a test takes.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// What becomes of a transaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    /// What should.
    Well,
    /// It does not happen, and its caller is told so.
    Fails,
    /// It happens, and its caller is told that it did not.
    Denied,
    /// It does not happen, and its caller does not know.
    LostBefore,
    /// It happens, and its caller does not know.
    LostAfter,
    /// It happens, and its caller is let go, without knowing, when the test says so.
    HeldAfter,
    /// It happens when the test says so, and its caller does not know.
    Late,
}

/// A real store, and fates of its next transactions.
pub(crate) struct FaultyStore {
    inner: RedbStore,
    fates: Mutex<VecDeque<Fate>>,
    /// What becomes of those after them.
    then: Mutex<Fate>,
    transactions: AtomicUsize,
    held: Notify,
    late: Mutex<Vec<Txn>>,
    /// As many more as there are watches.
    watches: Arc<()>,
    /// The next watch is told that its history is gone.
    is_compacted: AtomicBool,
    _dir: TempDir,
}

impl FaultyStore {
    pub(crate) fn new() -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let inner = RedbStore::open(&dir.path().join("store")).unwrap();
        Arc::new(Self {
            inner,
            fates: Mutex::default(),
            then: Mutex::new(Fate::Well),
            transactions: AtomicUsize::new(0),
            held: Notify::new(),
            late: Mutex::default(),
            watches: Arc::default(),
            is_compacted: AtomicBool::new(false),
            _dir: dir,
        })
    }

    pub(crate) fn next(&self, fates: impl IntoIterator<Item = Fate>) {
        self.fates.lock().unwrap().extend(fates);
    }

    pub(crate) fn always(&self, fate: Fate) {
        *self.then.lock().unwrap() = fate;
    }

    /// From now on all is well.
    pub(crate) fn mend(&self) {
        self.fates.lock().unwrap().clear();
        self.always(Fate::Well);
    }

    /// Lets go of who is held.
    pub(crate) fn release(&self) {
        self.held.notify_one();
    }

    /// What is late happens now; whether it does.
    pub(crate) async fn settle(&self) -> Vec<TxnOutcome> {
        let mut outcomes = vec![];
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        for txn in late {
            outcomes.push(self.inner.transact(txn).await.unwrap());
        }
        outcomes
    }

    pub(crate) fn compact(&self) {
        self.is_compacted.store(true, Ordering::SeqCst);
    }

    pub(crate) fn open_watches(&self) -> usize {
        Arc::strong_count(&self.watches) - 1
    }

    pub(crate) fn transactions(&self) -> usize {
        self.transactions.load(Ordering::SeqCst)
    }

    /// Keys under a prefix.
    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let (listed, _) = self.inner.list(prefix, None, 10_000).await.unwrap();
        listed.into_iter().map(|(key, _)| key).collect()
    }
}

#[async_trait]
impl MetaStore for FaultyStore {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, MetaStoreError> {
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
        let fate = self.fates.lock().unwrap().pop_front();
        let fate = fate.unwrap_or(*self.then.lock().unwrap());
        self.transactions.fetch_add(1, Ordering::SeqCst);
        match fate {
            Fate::Well => self.inner.transact(txn).await,
            Fate::Fails => Err(MetaStoreError::Engine("told to fail".into())),
            Fate::Denied => {
                self.inner.transact(txn).await?;
                Err(MetaStoreError::Engine("told to fail".into()))
            }
            Fate::LostBefore => Err(MetaStoreError::OutcomeUnknown("told to be lost".into())),
            Fate::LostAfter => {
                self.inner.transact(txn).await?;
                Err(MetaStoreError::OutcomeUnknown("told to be lost".into()))
            }
            Fate::HeldAfter => {
                self.inner.transact(txn).await?;
                self.held.notified().await;
                Err(MetaStoreError::OutcomeUnknown("told to be lost".into()))
            }
            Fate::Late => {
                self.late.lock().unwrap().push(txn);
                Err(MetaStoreError::OutcomeUnknown("told to be late".into()))
            }
        }
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, MetaStoreError> {
        match self.is_compacted.swap(false, Ordering::SeqCst) {
            true => Err(MetaStoreError::Compacted { oldest: after + 1 }),
            false => {
                let watch = self.inner.watch(prefix, after).await?;
                Ok(Box::new(CountedWatch(watch, Arc::clone(&self.watches))))
            }
        }
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

struct CountedWatch(Box<dyn Watch>, #[allow(dead_code, reason = "counts")] Arc<()>);

#[async_trait]
impl Watch for CountedWatch {
    async fn next(&mut self) -> Result<Vec<Event>, MetaStoreError> {
        self.0.next().await
    }
}

/// A reader of the partition, from the beginning.
pub(crate) fn reader(store: &Arc<FaultyStore>) -> Reader {
    Reader::new(Arc::clone(store) as Arc<dyn MetaStore>, PARTITION)
}

/// A new epoch's writer, and what was there before.
pub(crate) async fn lead(store: &Arc<FaultyStore>) -> (Vec<Item>, Writer) {
    reader(store).lead("a test").await.unwrap()
}

pub(crate) async fn append(writer: &Writer, record: &str) -> u64 {
    writer.append(Bytes::copy_from_slice(record.as_bytes())).await.unwrap()
}

/// The records of entries; of a state, its bytes in brackets.
pub(crate) fn texts(items: &[Item]) -> Vec<String> {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let of_item = |item: &Item| match item {
        Item::State { state, .. } => vec![format!("[{}]", text(state))],
        Item::Entry(entry) => entry.records.iter().map(text).collect(),
    };
    items.iter().flat_map(of_item).collect()
}

/// The next items, until so many records are there.
pub(crate) async fn read(reader: &mut Reader, records: usize) -> Vec<String> {
    let mut read = vec![];
    while read.len() < records {
        let item = tokio::time::timeout(WAIT_MAX, reader.next()).await.expect("comes in time");
        read.extend(texts(&[item.unwrap()]));
    }
    read
}
