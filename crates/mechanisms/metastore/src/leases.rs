//! Which leases live, and for how long still.
//!
//! ```text
//! granted ─► living ──time is up──► lapsed ──writer deletes its keys──► ending ─► gone
//!              ▲                      │ kept alive just in time           │
//!              └──────────────────────┴─── the writer failed ─────────────┘
//! ```
//!
//! In memory only. The file says which keys have a lease, and how long that lives; a
//! store that is opened begins their time anew.

use hearth_ambient::random;
use hearth_services::metastore::{LEASE_TTL_MAX, LEASE_TTL_MIN, Lease, LeaseId};
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Most leases: far more than one machine has holders.
const LEASES_MAX: usize = 10_000;
/// How long a lapsed lease lives on if its keys cannot be deleted.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// There are too many leases.
#[derive(Debug, thiserror::Error)]
#[error("there are {LEASES_MAX} leases already")]
pub(crate) struct TooMany;

/// All leases that are not gone.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    table: Mutex<Table>,
    /// A lease was granted, or the table closed: there may be less time to wait.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    living: HashMap<LeaseId, Life>,
    /// Their keys are being deleted: they are gone unless that fails.
    ending: HashMap<LeaseId, Life>,
    closed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Life {
    ttl: Duration,
    until: Instant,
    /// The writer was told that it lapsed.
    lapsed: bool,
}

impl Life {
    fn new(ttl: Duration) -> Self {
        Self { ttl, until: Instant::now() + ttl, lapsed: false }
    }
}

impl Leases {
    /// A new lease.
    pub(crate) fn grant(&self, ttl: Duration) -> Result<Lease, TooMany> {
        let ttl = ttl.clamp(LEASE_TTL_MIN, LEASE_TTL_MAX);
        // Random, so that none comes again after a restart.
        let id = LeaseId(u64::from_le_bytes(random::bytes()));
        let mut table = self.table.lock();
        if table.living.len() >= LEASES_MAX {
            return Err(TooMany);
        }
        table.living.insert(id, Life::new(ttl));
        self.changed.notify_all();
        Ok(Lease { id, ttl })
    }

    /// Begins the time of leases anew that keys in the file have.
    pub(crate) fn revive(&self, leases: impl IntoIterator<Item = (LeaseId, Duration)>) {
        let mut table = self.table.lock();
        for (id, ttl) in leases {
            table.living.entry(id).or_insert_with(|| Life::new(ttl));
        }
        self.changed.notify_all();
    }

    /// Begins a lease's time anew; false if it is gone.
    pub(crate) fn keep(&self, id: LeaseId) -> bool {
        let mut table = self.table.lock();
        let life = table.living.get_mut(&id);
        life.map(|life| *life = Life::new(life.ttl)).is_some()
    }

    /// How long it lives, unless it is gone.
    pub(crate) fn ttl(&self, id: LeaseId) -> Option<Duration> {
        self.table.lock().living.get(&id).map(|life| life.ttl)
    }

    /// Before its keys are deleted: from here on it is gone. Says whether they are to
    /// be: if only because its time is up, it may have been kept alive since.
    pub(crate) fn begin_end(&self, id: LeaseId, is_wanted: bool) -> bool {
        let mut table = self.table.lock();
        match table.living.get(&id).copied() {
            Some(life) if is_wanted || life.lapsed => {
                table.living.remove(&id);
                table.ending.insert(id, life);
                true
            }
            Some(_) => false,
            None => is_wanted,
        }
    }

    /// Its keys are deleted.
    pub(crate) fn end(&self, id: LeaseId) {
        self.table.lock().ending.remove(&id);
    }

    /// Its keys could not be deleted: it is to lapse again soon.
    pub(crate) fn retry(&self, id: LeaseId) {
        let mut table = self.table.lock();
        let ending = table.ending.remove(&id);
        if let Some(life) = ending.or_else(|| table.living.get(&id).copied()) {
            let life = Life { until: Instant::now() + RETRY_PAUSE, lapsed: false, ..life };
            table.living.insert(id, life);
            self.changed.notify_all();
        }
    }

    /// Waits for leases whose time is up, and marks them as lapsed. None once closed.
    pub(crate) fn wait_lapsed(&self) -> Option<Vec<LeaseId>> {
        let mut table = self.table.lock();
        while !table.closed {
            let now = Instant::now();
            let mut lapsed = Vec::new();
            for (id, life) in table.living.iter_mut().filter(|(_, life)| !life.lapsed) {
                if life.until <= now {
                    life.lapsed = true;
                    lapsed.push(*id);
                }
            }
            if !lapsed.is_empty() {
                return Some(lapsed);
            }
            let lives = table.living.values().filter(|life| !life.lapsed);
            match lives.map(|life| life.until).min() {
                Some(until) => drop(self.changed.wait_until(&mut table, until.into_std())),
                None => self.changed.wait(&mut table),
            }
        }
        None
    }

    /// Ends all waiting.
    pub(crate) fn close(&self) {
        self.table.lock().closed = true;
        self.changed.notify_all();
    }
}
