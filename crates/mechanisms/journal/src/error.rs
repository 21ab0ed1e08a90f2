//! What can go wrong.

use crate::Epoch;
use hearth_services::metastore::MetaStoreError;

/// The journal could not be read, or its writer not be changed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The store failed.
    #[error("the metadata store failed")]
    Store(#[from] MetaStoreError),
    /// What the store holds was not written by a journal, or by a newer one.
    #[error("{0} in the metadata store is damaged, or of a newer version")]
    Damaged(String),
    /// Others began an epoch.
    #[error("epoch {0} has begun")]
    Deposed(Epoch),
    /// The state is larger than [`STATE_BYTES_MAX`](crate::STATE_BYTES_MAX).
    #[error("a state of {0} bytes is too large")]
    TooLarge(usize),
    /// A checkpoint of what is not there yet.
    #[error("there is no entry {0} yet")]
    NoSuchEntry(crate::Seq),
}

/// A record was not written, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Others write now. The record is not in the journal and will not be.
    #[error("another epoch has begun")]
    Deposed,
    /// The store did not take it in time. It is not in the journal and will not be.
    #[error("the metadata store does not take what is appended: {0}")]
    NotWritten(String),
    /// The store failed so that nobody can tell. Only a new epoch finds out, so this
    /// writer writes no more.
    #[error("nobody knows whether it was appended: {0}")]
    Unknown(String),
    /// It is larger than [`RECORD_BYTES_MAX`](crate::RECORD_BYTES_MAX).
    #[error("a record of {0} bytes is too large")]
    TooLarge(usize),
}
