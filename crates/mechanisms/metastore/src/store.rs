//! The handle: checks bounds, queues writes, runs reads on the blocking pool.

use crate::engine::{Change, Engine, EngineError, Opener, Outcome};
use crate::history::History;
use crate::writer::{self, Request};
use async_trait::async_trait;
use hearth_services::metastore::{
    LIST_ENTRIES_MAX, Lease, LeaseId, MetaStore, MetaStoreError, Op, Revision, TXN_BYTES_MAX, Txn,
    TxnOutcome, Versioned, Watch, check_key,
};
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

/// Most transactions that wait for the writer; more wait outside the queue.
const QUEUE_TXNS_MAX: usize = 1024;
/// Most bytes of transactions that wait for the writer.
const QUEUE_BYTES_MAX: usize = 16 * TXN_BYTES_MAX;
/// Most reads on the blocking pool at once.
const READS_MAX: usize = 16;
/// Memory for redb's page cache. The whole store of a small host fits.
const CACHE_BYTES: usize = 16 * 1024 * 1024;
/// Charged to each queued transaction beyond its own bytes.
const TXN_OVERHEAD_BYTES: usize = 256;

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be made, opened or synced.
    #[error("cannot open the metadata store {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is not a database, is damaged, or another process has it open.
    #[error("cannot read the metadata store {}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A thread could not be started.
    #[error("cannot start a thread of the metadata store")]
    Thread(#[source] io::Error),
}

/// How long the file may be locked still: of a process that was killed, a child that was just
/// being started has all files open until it notices.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(3);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A [`MetaStore`] in one file. Dropping it waits for queued writes.
pub struct RedbStore {
    engine: Arc<Engine>,
    history: Arc<History>,
    /// `None` only while it is dropped.
    requests: Option<mpsc::Sender<Request>>,
    queued_bytes: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    /// The writer, and who tells it which leases are over.
    threads: Vec<JoinHandle<()>>,
}

impl RedbStore {
    /// Opens the store at `path`, or makes an empty one, readable by its owner
    /// alone: it holds the secrets of access keys. Blocks on disk I/O.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let file_error = |source| OpenError::File { path: path.to_owned(), source };
        open_file(path).and_then(|_| sync_parent(path)).map_err(file_error)?;
        let reopened = path.to_owned();
        let opener: Opener = Box::new(move || open_database(&reopened));
        Self::with_opener(path, opener)
    }

    pub(crate) fn with_opener(path: &Path, opener: Opener) -> Result<Self, OpenError> {
        let (engine, revision) = Engine::open(opener).map_err(|error| OpenError::Database {
            path: path.to_owned(),
            source: Box::new(error),
        })?;
        let engine = Arc::new(engine);
        let history = Arc::new(History::new(revision));
        let (requests, queue) = mpsc::channel(QUEUE_TXNS_MAX);
        let queued_bytes = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
        // Made before its threads, so that one that fails to start ends the other.
        let mut store = Self {
            engine: engine.clone(),
            history: history.clone(),
            requests: Some(requests.clone()),
            queued_bytes: queued_bytes.clone(),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            threads: Vec::new(),
        };
        let writer = {
            let engine = engine.clone();
            move || writer::run(&engine, &history, queue)
        };
        store.start("metastore", writer)?;
        let leases = move || writer::end_lapsed(&engine, &requests, &queued_bytes);
        store.start("metastore leases", leases)?;
        Ok(store)
    }

    fn start(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        self.threads.push(thread.map_err(OpenError::Thread)?);
        Ok(())
    }

    /// Has the writer make a change.
    async fn write(&self, change: Change, bytes: u32) -> Result<Outcome, MetaStoreError> {
        let queued_bytes = self.queued_bytes.clone().acquire_many_owned(bytes).await;
        let queued_bytes = queued_bytes.map_err(engine_error)?;
        let (reply, outcome) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(|| engine_error(EngineError::Closed))?;
        let request = Request { change, reply, queued_bytes };
        // Both fail only if the writer panicked, the second perhaps while it committed.
        requests.send(request).await.map_err(|_| engine_error(EngineError::Closed))?;
        outcome.await.map_err(|error| MetaStoreError::OutcomeUnknown(Box::new(error)))?
    }

    /// Runs `query` where it may block.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Engine) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, MetaStoreError> {
        let permit = self.reads.clone().acquire_owned().await.map_err(engine_error)?;
        let engine = self.engine.clone();
        let result = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            query(&engine)
        });
        result.await.map_err(engine_error)?.map_err(engine_error)
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.requests = None;
        self.engine.leases().close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the metadata store panicked");
            }
        }
    }
}

#[async_trait]
impl MetaStore for RedbStore {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, MetaStoreError> {
        check_key(key)?;
        let key = key.to_owned();
        self.read(move |engine| engine.get(&key)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(String, Versioned)>, Revision), MetaStoreError> {
        check_key(prefix)?;
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        let limit = limit.min(LIST_ENTRIES_MAX);
        self.read(move |engine| engine.list(&prefix, after.as_deref(), limit)).await
    }

    async fn transact(&self, txn: Txn) -> Result<TxnOutcome, MetaStoreError> {
        txn.check()?;
        let bytes = weight(&txn);
        match self.write(Change::Txn(txn), bytes).await? {
            Outcome::Txn(outcome) => Ok(outcome),
            Outcome::LeaseGone => Err(MetaStoreError::LeaseGone),
            Outcome::Ended(_) | Outcome::LivesOn => Err(engine_error(EngineError::Closed)),
        }
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, MetaStoreError> {
        check_key(prefix)?;
        Ok(Box::new(self.history.watch(prefix, after)?))
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<Lease, MetaStoreError> {
        self.engine.leases().grant(ttl).map_err(engine_error)
    }

    async fn keep_lease(&self, lease: LeaseId) -> Result<(), MetaStoreError> {
        match self.engine.leases().keep(lease) {
            true => Ok(()),
            false => Err(MetaStoreError::LeaseGone),
        }
    }

    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), MetaStoreError> {
        let end = Change::EndLease { lease, is_wanted: true };
        self.write(end, TXN_OVERHEAD_BYTES as u32).await.map(|_ended| ())
    }
}

/// What a transaction takes of the queue's bytes.
fn weight(txn: &Txn) -> u32 {
    let op_bytes = |op: &Op| op.key().len() + op.value().map_or(0, |value| value.len());
    let bytes = TXN_OVERHEAD_BYTES + txn.ops.iter().map(op_bytes).sum::<usize>();
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn engine_error(error: impl std::error::Error + Send + Sync + 'static) -> MetaStoreError {
    MetaStoreError::Engine(Box::new(error))
}

fn open_file(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Opens the database, which locks the file; waits a moment for whoever has it.
fn open_database(path: &Path) -> Result<redb::Database, redb::DatabaseError> {
    let began = Instant::now();
    loop {
        let file = open_file(path).map_err(redb::StorageError::Io)?;
        let database = redb::backends::FileBackend::new(file).and_then(|file| {
            redb::Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(file)
        });
        match database {
            Err(redb::DatabaseError::DatabaseAlreadyOpen) if began.elapsed() < LOCK_WAIT_MAX => {
                std::thread::sleep(LOCK_PAUSE);
            }
            opened => return opened,
        }
    }
}

/// Makes the file's name durable: a synced file in an unsynced directory can
/// vanish as a whole.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}
