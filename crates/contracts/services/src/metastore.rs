//! The one contract under all durable state: an ordered map of small values
//! with transactions and watches.
//!
//! Keys are `/`-separated paths. Every committed transaction gets the next
//! revision; a value remembers the revision that wrote it. An acknowledged
//! transaction survives a crash of any process at any point. Keys may be bound to
//! leases, which end with their holder.

mod bounds;

pub use bounds::check_key;

use async_trait::async_trait;
use bytes::Bytes;
use std::time::Duration;

/// Largest value, in bytes. Bulk bytes go to the object store.
pub const VALUE_BYTES_MAX: usize = 512 * 1024;
/// Longest key, and longest prefix, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// Most operations, and most conditions, in one transaction: a few fewer than the
/// 128 that etcd takes, so that its engine can add its own.
pub const TXN_OPS_MAX: usize = 120;
/// Largest transaction: its keys and values together, in bytes. Below the 1.5
/// MiB that etcd accepts in one request.
pub const TXN_BYTES_MAX: usize = 1024 * 1024;
/// Most entries that one `list` returns.
pub const LIST_ENTRIES_MAX: usize = 10_000;

/// Shortest time that a lease lives unless it is kept alive. etcd counts in seconds.
pub const LEASE_TTL_MIN: Duration = Duration::from_secs(1);
/// Longest such time: what a holder that died leaves is gone after it.
pub const LEASE_TTL_MAX: Duration = Duration::from_secs(3600);

/// The position of a transaction in the store's history; starts at 1.
pub type Revision = u64;

/// A value and the revision that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The bytes.
    pub value: Bytes,
    /// The transaction that wrote them.
    pub revision: Revision,
}

/// What a transaction requires of a key before it may commit.
#[derive(Clone, Debug)]
pub enum Compare {
    /// The key has no value.
    Absent(String),
    /// The key's value was written by exactly this revision.
    RevisionIs(String, Revision),
}

/// Names a lease; never used for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub u64);

/// A promise to delete keys unless their holder keeps saying that it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub id: LeaseId,
    /// How long it lives after it was granted or last kept alive, at least. May be
    /// longer than what was asked for.
    pub ttl: Duration,
}

/// A change to one key.
#[derive(Clone, Debug)]
pub enum Op {
    /// Sets the value. A key that was leased is so no more.
    Put(String, Bytes),
    /// Sets the value until the lease ends.
    PutLeased(String, Bytes, LeaseId),
    /// Removes it; removing an absent key is no error.
    Delete(String),
}

impl Op {
    /// The key that it changes.
    pub fn key(&self) -> &str {
        match self {
            Self::Put(key, _) | Self::PutLeased(key, _, _) | Self::Delete(key) => key,
        }
    }
    /// What it sets the key to.
    pub fn value(&self) -> Option<&Bytes> {
        match self {
            Self::Put(_, value) | Self::PutLeased(_, value, _) => Some(value),
            Self::Delete(_) => None,
        }
    }
    /// The lease that it binds the key to.
    pub fn lease(&self) -> Option<LeaseId> {
        match self {
            Self::PutLeased(_, _, lease) => Some(*lease),
            Self::Put(..) | Self::Delete(_) => None,
        }
    }
}

/// All of `ops` happen, or none does; they happen only if all of `compares` hold.
/// Of several operations on one key the last counts.
#[derive(Clone, Debug, Default)]
pub struct Txn {
    /// Conditions.
    pub compares: Vec<Compare>,
    /// Changes.
    pub ops: Vec<Op>,
}

impl Txn {
    /// An empty transaction, to be filled by the methods below.
    pub fn new() -> Self {
        Self::default()
    }
    /// Requires that `key` be absent.
    pub fn absent(mut self, key: impl Into<String>) -> Self {
        self.compares.push(Compare::Absent(key.into()));
        self
    }
    /// Requires that `key` was last written by `revision`.
    pub fn unchanged(mut self, key: impl Into<String>, revision: Revision) -> Self {
        self.compares.push(Compare::RevisionIs(key.into(), revision));
        self
    }
    /// Sets `key`.
    pub fn put(mut self, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.ops.push(Op::Put(key.into(), value.into()));
        self
    }
    /// Sets `key` until `lease` ends.
    pub fn put_leased(
        mut self,
        key: impl Into<String>,
        value: impl Into<Bytes>,
        lease: LeaseId,
    ) -> Self {
        self.ops.push(Op::PutLeased(key.into(), value.into(), lease));
        self
    }
    /// Removes `key`.
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.ops.push(Op::Delete(key.into()));
        self
    }
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxnOutcome {
    /// It is durable, at this revision.
    Committed(Revision),
    /// A condition did not hold; nothing changed.
    Conflict,
}

/// One change, as a watch reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The transaction it belongs to.
    pub revision: Revision,
    /// The key.
    pub key: String,
    /// The new value, or `None` if the key was deleted.
    pub value: Option<Bytes>,
}

/// Why a store call failed.
#[derive(Debug, thiserror::Error)]
pub enum MetaStoreError {
    /// A key, value or transaction is over its bound.
    #[error("{0}")]
    TooLarge(&'static str),
    /// The watch asked for history that is gone; list again and watch from there.
    #[error("history before revision {oldest} is compacted")]
    Compacted {
        /// Oldest revision a watch may still start from.
        oldest: Revision,
    },
    /// The lease has ended, or never was. Nothing changed.
    #[error("the lease has ended")]
    LeaseGone,
    /// The engine failed (disk full, I/O error, nobody answers). A transaction did
    /// not happen.
    #[error("metadata store failed")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The engine failed while it committed. The transaction may have happened, or may
    /// still: whoever repeats it must read first, or have conditions that fail then.
    #[error("metadata store failed in the middle of a commit")]
    OutcomeUnknown(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A stream of committed transactions under one prefix, in order. Each item is
/// all matching events of one revision.
///
/// A watch outlives failures of the engine that pass: it goes on where it was. What it
/// cannot go on from it reports, and ends.
#[async_trait]
pub trait Watch: Send {
    /// The next transaction's events; waits for one. An error ends the watch: after
    /// [`Compacted`](MetaStoreError::Compacted) its owner lists anew, takes the list
    /// for the truth, and watches from the list's revision. Cancel-safe.
    async fn next(&mut self) -> Result<Vec<Event>, MetaStoreError>;
}

/// The store.
#[async_trait]
pub trait MetaStore: Send + Sync {
    /// The value of `key`.
    async fn get(&self, key: &str) -> Result<Option<Versioned>, MetaStoreError>;

    /// Entries whose key starts with `prefix` and sorts after `after`, in key
    /// order, at most `limit` (and [`LIST_ENTRIES_MAX`]) of them, with the
    /// revision they were read at. Fewer than that means there are no more.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(String, Versioned)>, Revision), MetaStoreError>;

    /// Commits `txn` if its conditions hold. Durable when this returns. An engine never
    /// does it twice. If the call is dropped, the transaction may or may not have
    /// happened, as after [`OutcomeUnknown`](MetaStoreError::OutcomeUnknown).
    async fn transact(&self, txn: Txn) -> Result<TxnOutcome, MetaStoreError>;

    /// Changes under `prefix` made after revision `after`. That history reaches back to
    /// there is told now or by the watch's first item.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, MetaStoreError>;

    /// A new lease, which lives for `ttl` at least (brought within [`LEASE_TTL_MIN`] and
    /// [`LEASE_TTL_MAX`]) and then ends: its keys are deleted, in one transaction that
    /// watches see. A lease without keys need not survive a restart of the engine; one
    /// with keys does, and its time begins anew then.
    async fn grant_lease(&self, ttl: Duration) -> Result<Lease, MetaStoreError>;

    /// Begins the lease's time anew, or says that it is over
    /// ([`LeaseGone`](MetaStoreError::LeaseGone)).
    async fn keep_lease(&self, lease: LeaseId) -> Result<(), MetaStoreError>;

    /// Ends the lease now; that it has ended already is no error.
    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), MetaStoreError>;
}
