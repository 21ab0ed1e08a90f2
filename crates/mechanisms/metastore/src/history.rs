//! The newest commits, kept in memory for watches.
//!
//! ```text
//!        base                                    newest
//! ────────┤ commit ┊ commit ┊ commit ┊ … ┊ commit │
//!  gone   └──────────── bounded ring ─────────────┘
//!               ▲ cursor of a watch
//! ```
//!
//! A watch is a cursor into this ring and holds nothing else, so a slow one
//! costs nothing: once the ring has moved past its cursor it ends with
//! `Compacted`, and its owner lists again.

use crate::engine::Commit;
use async_trait::async_trait;
use hearth_services::metastore::{Event, MetaStoreError, Revision, Watch};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// Most events kept: minutes of a busy control plane.
const HISTORY_EVENTS_MAX: usize = 16 * 1024;
/// Most bytes kept: several of the largest transactions.
const HISTORY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The ring, shared by the writer and all watches.
#[derive(Debug)]
pub(crate) struct History {
    ring: Mutex<Ring>,
    bounds: Bounds,
    /// Wakes watches; carries nothing, the ring has it all.
    wake: watch::Sender<()>,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    events_max: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Ring {
    /// All commits after this revision are in `commits`.
    base: Revision,
    newest: Revision,
    commits: VecDeque<Arc<Commit>>,
    events: usize,
    bytes: usize,
}

impl History {
    /// An empty history that begins at `revision`.
    pub(crate) fn new(revision: Revision) -> Self {
        let bounds = Bounds { events_max: HISTORY_EVENTS_MAX, bytes_max: HISTORY_BYTES_MAX };
        Self::bounded(revision, bounds)
    }

    fn bounded(revision: Revision, bounds: Bounds) -> Self {
        Self { ring: Mutex::new(Ring::empty(revision)), bounds, wake: watch::Sender::new(()) }
    }

    /// Adds commits, drops the oldest beyond the bounds and wakes all watches.
    pub(crate) fn publish(&self, commits: Vec<Commit>) {
        let mut ring = self.ring.lock();
        for commit in commits {
            ring.push(commit);
        }
        while ring.events > self.bounds.events_max || ring.bytes > self.bounds.bytes_max {
            ring.drop_oldest();
        }
        drop(ring);
        self.wake.send_replace(());
    }

    /// Says what the file holds after it was reopened, and returns whether that is
    /// something else than was published last: then there is a gap that no watch may
    /// step over.
    pub(crate) fn resume_at(&self, revision: Revision) -> bool {
        let mut ring = self.ring.lock();
        if ring.newest == revision {
            return false;
        }
        *ring = Ring::empty(revision);
        drop(ring);
        self.wake.send_replace(());
        true
    }

    /// A watch on `prefix` from `after` on.
    pub(crate) fn watch(
        self: &Arc<Self>,
        prefix: &str,
        after: Revision,
    ) -> Result<Cursor, MetaStoreError> {
        self.ring.lock().reaches(after)?;
        Ok(Cursor {
            wake: self.wake.subscribe(),
            history: Arc::downgrade(self),
            prefix: prefix.to_owned(),
            after,
        })
    }
}

impl Ring {
    fn empty(revision: Revision) -> Self {
        Self { base: revision, newest: revision, commits: VecDeque::new(), events: 0, bytes: 0 }
    }

    fn push(&mut self, commit: Commit) {
        self.newest = commit.revision;
        self.events += commit.events.len();
        self.bytes += commit.bytes();
        self.commits.push_back(Arc::new(commit));
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.commits.pop_front() {
            self.base = oldest.revision;
            self.events -= oldest.events.len();
            self.bytes -= oldest.bytes();
        }
    }

    fn reaches(&self, after: Revision) -> Result<(), MetaStoreError> {
        if after < self.base {
            return Err(MetaStoreError::Compacted { oldest: self.base });
        }
        Ok(())
    }

    /// The first commit after `after` that touches `prefix`.
    fn next(&self, prefix: &str, after: Revision) -> Option<(Revision, Vec<Event>)> {
        let first = self.commits.partition_point(|commit| commit.revision <= after);
        self.commits.range(first..).find_map(|commit| {
            let events: Vec<Event> =
                commit.events.iter().filter(|e| e.key.starts_with(prefix)).cloned().collect();
            (!events.is_empty()).then_some((commit.revision, events))
        })
    }
}

impl Commit {
    fn bytes(&self) -> usize {
        let event_bytes = |e: &Event| e.key.len() + e.value.as_ref().map_or(0, |v| v.len());
        size_of::<Self>()
            + self.events.iter().map(|e| size_of::<Event>() + event_bytes(e)).sum::<usize>()
    }
}

/// One watch.
pub(crate) struct Cursor {
    wake: watch::Receiver<()>,
    /// Weak, so that an abandoned watch does not keep a closed store's history.
    history: std::sync::Weak<History>,
    prefix: String,
    after: Revision,
}

impl Cursor {
    fn poll(&mut self) -> Result<Option<Vec<Event>>, MetaStoreError> {
        let history = self.history.upgrade().ok_or_else(closed)?;
        let ring = history.ring.lock();
        ring.reaches(self.after)?;
        match ring.next(&self.prefix, self.after) {
            Some((revision, events)) => {
                self.after = revision;
                Ok(Some(events))
            }
            None => {
                // A list may have seen a commit that is not published yet, so
                // the cursor can be ahead of the ring.
                self.after = self.after.max(ring.newest);
                Ok(None)
            }
        }
    }
}

#[async_trait]
impl Watch for Cursor {
    async fn next(&mut self) -> Result<Vec<Event>, MetaStoreError> {
        loop {
            self.wake.mark_unchanged();
            if let Some(events) = self.poll()? {
                return Ok(events);
            }
            self.wake.changed().await.map_err(|_| closed())?;
        }
    }
}

fn closed() -> MetaStoreError {
    MetaStoreError::Engine("the store was closed".into())
}
