//! All logs: finds the one of a function, reads it, deletes it.

use crate::reader::whole_lines;
use crate::writer::{Log, LogWriter, Queue};
use async_trait::async_trait;
use hearth_services::logs::{LOG_READ_BYTES_MAX, LogChunk, LogReader};
use hearth_types::{AccountId, FunctionName};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

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

    /// Deletes a function's log. Handles that exist append to nothing from now
    /// on; a new one begins a new log. Blocks on the disk.
    pub fn delete(&self, account: &AccountId, function: &FunctionName) -> io::Result<()> {
        let log = self.log(account, function);
        self.known.lock().logs.remove(&(account.clone(), function.clone()));
        log.delete()
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
