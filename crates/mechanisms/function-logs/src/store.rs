//! All logs: finds the one of a function, reads it, prunes them.

use crate::prune::{self, Aged};
use crate::reader::whole_lines;
use crate::segments;
use crate::writer::{Log, LogWriter, Queue};
use async_trait::async_trait;
use hearth_ambient::clock;
use hearth_services::logs::{LOG_READ_BYTES_MAX, LogChunk, LogReader};
use hearth_types::{AccountId, FunctionName};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::UNIX_EPOCH;

/// How many logs are known before those that nobody writes to are forgotten;
/// doubles with the number that are in use.
const KNOWN_LOGS_MIN: usize = 64;

/// The logs under one directory: `DIR/ACCOUNT/FUNCTION/`. Dropping it writes
/// what waits.
#[derive(Debug)]
pub struct LogStore {
    dir: PathBuf,
    known: Mutex<Known>,
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Known {
    logs: HashMap<(AccountId, FunctionName), Weak<Log>>,
    forget_at: usize,
}

impl LogStore {
    /// Opens the logs in `dir`, which is made if missing, and starts the
    /// thread that writes.
    pub fn open(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir = dir.into();
        std::fs::create_dir_all(&dir)?;
        let queue = Arc::new(Queue::default());
        let writer = {
            let queue = queue.clone();
            std::thread::Builder::new()
                .name("function-logs".to_owned())
                .spawn(move || queue.run())?
        };
        let known = Known { logs: HashMap::new(), forget_at: KNOWN_LOGS_MIN };
        Ok(Self { dir, known: Mutex::new(known), queue, writer: Some(writer) })
    }

    /// The handle that appends to a function's log.
    pub fn writer(&self, account: &AccountId, function: &FunctionName) -> LogWriter {
        LogWriter { log: self.log(account, function), queue: self.queue.clone() }
    }

    /// Drops what is too old, or too much for one account ([`KEPT`],
    /// [`ACCOUNT_BYTES_MAX`]); how many segments. A log that loses all of them
    /// begins anew with the next line. Blocks on the disk, and reads all
    /// directories.
    ///
    /// [`KEPT`]: crate::KEPT
    /// [`ACCOUNT_BYTES_MAX`]: crate::ACCOUNT_BYTES_MAX
    pub fn prune(&self) -> io::Result<usize> {
        let now = UNIX_EPOCH + clock::unix_now();
        let mut dropped = 0;
        for account in names::<AccountId>(&self.dir)? {
            let dir = self.dir.join(account.as_str());
            let mut segments = Vec::new();
            for function in names::<FunctionName>(&dir)? {
                let of_one = segments::segments(&dir.join(function.as_str()))?;
                segments.extend(of_one.into_iter().map(|segment| Aged {
                    log: function.clone(),
                    start: segment.start,
                    bytes: segment.bytes,
                    written: segment.written,
                }));
            }
            for doomed in prune::doomed(segments, now) {
                let log = self.log(&account, &doomed.log);
                dropped += usize::from(log.drop_segment(doomed.start, doomed.written)?);
            }
        }
        Ok(dropped)
    }

    /// The one `Log` of a function, so that all who touch its files share its
    /// lock.
    fn log(&self, account: &AccountId, function: &FunctionName) -> Arc<Log> {
        let mut known = self.known.lock();
        let key = (account.clone(), function.clone());
        if let Some(log) = known.logs.get(&key).and_then(Weak::upgrade) {
            return log;
        }
        if known.logs.len() >= known.forget_at {
            known.logs.retain(|_, log| log.strong_count() > 0);
            known.forget_at = KNOWN_LOGS_MIN.max(2 * known.logs.len());
        }
        // Both names are validated: neither can hold a separator or a dot.
        let log = Arc::new(Log::new(self.dir.join(account.as_str()).join(function.as_str())));
        known.logs.insert(key, Arc::downgrade(&log));
        log
    }
}

/// The entries of `dir` that are names of this kind; others are not ours.
fn names<N: FromStr>(dir: &Path) -> io::Result<Vec<N>> {
    let parse = |entry: io::Result<DirEntry>| match entry {
        Ok(entry) => entry.file_name().to_str().and_then(|name| name.parse().ok()).map(Ok),
        Err(error) => Some(Err(error)),
    };
    std::fs::read_dir(dir)?.filter_map(parse).collect()
}

impl Drop for LogStore {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the thread that writes function logs panicked");
        }
    }
}

#[async_trait]
impl LogReader for LogStore {
    async fn read(
        &self,
        account: &AccountId,
        function: &FunctionName,
        from: u64,
    ) -> io::Result<LogChunk> {
        let log = self.log(account, function);
        let queue = self.queue.clone();
        let read = move || {
            // So that a reader sees all that was appended before it asked.
            log.flush(&queue);
            let (position, bytes) = log.read(from, LOG_READ_BYTES_MAX)?;
            Ok(whole_lines(position, &bytes))
        };
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }
}
