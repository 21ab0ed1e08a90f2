//! The one contract under all durable state: an ordered map of small values
//! with transactions and watches.
//!
//! Keys are `/`-separated paths. Every committed transaction gets the next
//! revision; a value remembers the revision that wrote it. An acknowledged
//! transaction survives a crash of any process at any point.

use async_trait::async_trait;
use bytes::Bytes;

/// Largest value, in bytes. Bulk bytes go to the object store.
pub const VALUE_BYTES_MAX: usize = 512 * 1024;
/// Longest key, and longest prefix, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// Most operations, and most conditions, in one transaction.
pub const TXN_OPS_MAX: usize = 128;
/// Largest transaction: its keys and values together, in bytes. Below the 1.5
/// MiB that etcd accepts in one request.
pub const TXN_BYTES_MAX: usize = 1024 * 1024;
/// Most entries that one `list` returns.
pub const LIST_ENTRIES_MAX: usize = 10_000;

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

/// A change to one key.
#[derive(Clone, Debug)]
pub enum Op {
    /// Sets the value.
    Put(String, Bytes),
    /// Removes it; removing an absent key is no error.
    Delete(String),
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
    /// The engine failed (disk full, I/O error). Nothing was acknowledged; an
    /// unacknowledged transaction may still turn out to have happened.
    #[error("metadata store failed")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A stream of committed transactions under one prefix, in order. Each item is
/// all matching events of one revision.
#[async_trait]
pub trait Watch: Send {
    /// The next transaction's events; waits for one. An error ends the watch.
    /// Cancel-safe.
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

    /// Commits `txn` if its conditions hold. Durable when this returns. If the
    /// call fails or is dropped, the transaction may or may not have happened.
    async fn transact(&self, txn: Txn) -> Result<TxnOutcome, MetaStoreError>;

    /// Changes under `prefix` made after revision `after`.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, MetaStoreError>;
}
