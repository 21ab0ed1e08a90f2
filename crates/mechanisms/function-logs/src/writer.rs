//! One log, the handle that appends to it, and the thread that writes all logs.

use crate::buffer::Buffer;
use crate::segments;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, SystemTime};

/// How long the writer gathers lines before it writes them. Waking it costs an
/// invocation more than the line does, so busy functions should find it awake.
const GATHER: Duration = Duration::from_millis(20);

/// One function's log.
#[derive(Debug)]
pub(crate) struct Log {
    dir: PathBuf,
    pending: Mutex<Pending>,
    /// Held by whoever touches the files.
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Pending {
    buffer: Buffer,
    /// Whether the log stands in the queue.
    queued: bool,
}

#[derive(Debug, Default)]
struct Files {
    /// The last write failed; said once in our own log.
    failing: bool,
}

/// The logs that have something to write. Each stands in it at most once.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    in_all_buffers: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    logs: VecDeque<Arc<Log>>,
    /// The writer sleeps until it is woken; else it looks again by itself.
    asleep: bool,
    /// A buffer fills up: the writer gathers no longer.
    urgent: bool,
    closed: bool,
}

/// Appends to one function's log. Cheap to clone and to keep.
#[derive(Clone, Debug)]
pub struct LogWriter {
    pub(crate) log: Arc<Log>,
    pub(crate) queue: Arc<Queue>,
}

impl LogWriter {
    /// Appends whole lines. Never waits for the disk: what does not fit into
    /// memory is dropped, and the log says so.
    pub fn append(&self, lines: &[u8]) {
        let mut pending = self.log.pending.lock();
        pending.buffer.push(lines, &self.queue.in_all_buffers);
        let fills_up = pending.buffer.fills_up();
        let newly_queued = !std::mem::replace(&mut pending.queued, true);
        drop(pending);
        if newly_queued {
            self.queue.push(self.log.clone());
        }
        if fills_up {
            self.queue.hurry();
        }
    }
}

impl Log {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, pending: Mutex::default(), files: Mutex::default() }
    }

    /// Writes what waits. Blocks on the disk.
    pub(crate) fn flush(&self, queue: &Queue) {
        let mut files = self.files.lock();
        let (batch, stands_for) = {
            let mut pending = self.pending.lock();
            pending.queued = false;
            pending.buffer.take(&queue.in_all_buffers)
        };
        if batch.is_empty() {
            return;
        }
        match segments::append(&self.dir, &batch) {
            Ok(()) => files.failing = false,
            Err(error) => {
                self.pending.lock().buffer.lost(stands_for);
                if !std::mem::replace(&mut files.failing, true) {
                    tracing::error!(%error, dir = %self.dir.display(), "cannot write a function's log");
                }
            }
        }
    }

    pub(crate) fn read(&self, from: u64, limit: usize) -> std::io::Result<(u64, Vec<u8>)> {
        segments::read(&self.dir, from, limit)
    }

    /// Drops the segment at `start` unless it was written to after `seen`.
    pub(crate) fn drop_segment(&self, start: u64, seen: SystemTime) -> std::io::Result<bool> {
        let _files = self.files.lock();
        segments::remove(&self.dir, start, seen)
    }
}

impl Queue {
    fn push(&self, log: Arc<Log>) {
        let mut waiting = self.waiting.lock();
        waiting.logs.push_back(log);
        if std::mem::take(&mut waiting.asleep) {
            self.changed.notify_one();
        }
    }

    /// Ends the gathering of lines.
    fn hurry(&self) {
        let mut waiting = self.waiting.lock();
        if !std::mem::replace(&mut waiting.urgent, true) {
            self.changed.notify_one();
        }
    }

    /// Ends `run` once all that waits is written.
    pub(crate) fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        waiting.asleep = false;
        self.changed.notify_all();
    }

    /// Writes logs as they come, until closed.
    pub(crate) fn run(&self) {
        let mut waiting = self.waiting.lock();
        loop {
            let gathers = |waiting: &mut Waiting| !waiting.closed && !waiting.urgent;
            self.changed.wait_while_for(&mut waiting, gathers, GATHER);
            waiting.urgent = false;
            let logs = std::mem::take(&mut waiting.logs);
            if !logs.is_empty() {
                drop(waiting);
                logs.iter().for_each(|log| log.flush(self));
                waiting = self.waiting.lock();
            } else if waiting.closed {
                return;
            } else {
                waiting.asleep = true;
                self.changed.wait_while(&mut waiting, |waiting| waiting.asleep);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::BUFFER_BYTES_MAX;

    #[test]
    fn a_burst_is_not_gathered_until_it_overflows() {
        let queue = Arc::new(Queue::default());
        let log = Arc::new(Log::new(PathBuf::new()));
        let writer = LogWriter { log, queue: queue.clone() };
        writer.append(&[b'x'; BUFFER_BYTES_MAX / 2 - 1]);
        assert!(!queue.waiting.lock().urgent);
        writer.append(b"x");
        assert!(queue.waiting.lock().urgent);
    }
}
