//! Markers: how the outcome of a transaction is found out when its answer is lost.
//!
//! Each transaction borrows a marker, a key of its own. It requires that the marker be
//! as it was left, and writes something unique into it:
//!
//! ```text
//! if   marker was last written by revision R  and  the caller's conditions
//! then marker := nonce (bound to the session's lease), the caller's changes
//! ```
//!
//! If the answer is lost, one more transaction *settles* it, and may be repeated:
//!
//! ```text
//! if   marker = nonce   then  it happened, at the marker's revision
//! else marker := fence        it did not; and it never will, wherever it still
//!                             travels, for the marker is not of revision R any more
//! ```
//!
//! Markers are bound to a lease that is never kept alive but replaced while it has half
//! of its life left, so that those of a process that died go. When a lease is over, so
//! is what was sent under it: etcd binds nothing to it.

use crate::error::EtcdError;
use crate::keyspace::Keyspace;
use crate::leases;
use crate::members::Members;
use crate::reads::unsigned;
use crate::wire::{Compare, Do, Op, Put, Range, Txn};
use bytes::Bytes;
use hearth_ambient::random;
use hearth_services::metastore::{LeaseId, Revision};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long a session's lease lives: far longer than a transaction is waited for.
const SESSION_TTL: Duration = Duration::from_secs(600);

/// The markers of one handle of the store.
#[derive(Debug)]
pub(crate) struct Markers {
    keys: Keyspace,
    /// Tells this handle from all others.
    handle: String,
    next: AtomicU64,
    free: Mutex<Vec<Marker>>,
    session: tokio::sync::Mutex<Option<Session>>,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    lease: LeaseId,
    granted: Instant,
    ttl: Duration,
}

/// A marker that one transaction has. Lost with it if that is cut off: its key is not
/// used again.
#[derive(Debug)]
pub(crate) struct Marker {
    key: Bytes,
    lease: LeaseId,
    /// What wrote it last; 0 if nothing has.
    revision: i64,
    nonce: Bytes,
}

/// What came of a transaction.
#[derive(Debug)]
pub(crate) enum Settled {
    /// It happened.
    Happened(Revision),
    /// It did not, and never will.
    Never,
}

impl Markers {
    pub(crate) fn new(keys: Keyspace) -> Self {
        let handle = random::bytes::<16>().map(|byte| format!("{byte:02x}")).concat();
        let session = tokio::sync::Mutex::new(None);
        Self { keys, handle, next: AtomicU64::new(0), free: Mutex::new(Vec::new()), session }
    }

    /// A marker for one transaction.
    pub(crate) async fn take(&self, members: &Members) -> Result<Marker, EtcdError> {
        let lease = self.lease(members).await?;
        let nonce = Bytes::copy_from_slice(&random::bytes::<16>());
        let mut free = self.free.lock();
        // Those of an older lease are about to go.
        free.retain(|marker| marker.lease == lease);
        Ok(match free.pop() {
            Some(marker) => Marker { nonce, ..marker },
            None => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                Marker { key: self.keys.marker(&self.handle, number), lease, revision: 0, nonce }
            }
        })
    }

    /// Takes back a marker that is as it says.
    pub(crate) fn give_back(&self, marker: Marker) {
        self.free.lock().push(marker);
    }

    /// The session's lease turned out to be over.
    pub(crate) async fn session_ended(&self, ended: LeaseId) {
        let mut session = self.session.lock().await;
        if session.is_some_and(|session| session.lease == ended) {
            *session = None;
        }
    }

    async fn lease(&self, members: &Members) -> Result<LeaseId, EtcdError> {
        // Held while it is granted: the others wait for it, for they need it as well.
        let mut session = self.session.lock().await;
        if let Some(session) = *session
            && session.granted.elapsed() < session.ttl / 2
        {
            return Ok(session.lease);
        }
        let granted = Instant::now();
        let lease = leases::grant(members, SESSION_TTL).await?;
        *session = Some(Session { lease: lease.id, granted, ttl: lease.ttl });
        Ok(lease.id)
    }
}

impl Marker {
    /// Its session's lease.
    pub(crate) fn lease(&self) -> LeaseId {
        self.lease
    }

    /// Requires that it be as it was left.
    pub(crate) fn unchanged(&self) -> Compare {
        Compare::mod_revision(self.key.clone(), self.revision)
    }

    /// Marks.
    pub(crate) fn mark(&self) -> Op {
        self.put(self.nonce.clone())
    }

    /// Looks at it, which tells whether it is as it was left.
    pub(crate) fn look(&self) -> Op {
        let range = Range { key: self.key.clone(), keys_only: true, ..Range::default() };
        Do::Range(range).into()
    }

    /// Whether it is as it was left, by what a look found.
    pub(crate) fn is_unchanged(&self, found: Option<i64>) -> bool {
        found.unwrap_or(0) == self.revision
    }

    /// It was written by this revision.
    pub(crate) fn written(self, revision: Revision) -> Self {
        Self { revision: revision as i64, ..self }
    }

    /// Finds out what came of its transaction. It is of no further use then: what was
    /// asked here may be asked twice, and reach the store when another transaction has
    /// the marker. It goes with its lease.
    pub(crate) async fn settle(self, members: &Members) -> Result<Settled, EtcdError> {
        let fence = self.put(Bytes::copy_from_slice(&random::bytes::<16>()));
        let txn = Txn {
            compare: vec![Compare::value(self.key.clone(), self.nonce.clone())],
            success: vec![self.look()],
            failure: vec![fence],
        };
        let done = members.ask(txn).await?;
        if !done.succeeded {
            return Ok(Settled::Never);
        }
        let found = done.responses.into_iter().next().and_then(|done| done.range);
        let kv = found.and_then(|range| range.kvs.into_iter().next());
        let kv = kv.ok_or(EtcdError::Senseless("a marker that is equal and absent"))?;
        Ok(Settled::Happened(unsigned(kv.mod_revision)?))
    }

    fn put(&self, value: Bytes) -> Op {
        Do::Put(Put { key: self.key.clone(), value, lease: self.lease.0 as i64 }).into()
    }
}
