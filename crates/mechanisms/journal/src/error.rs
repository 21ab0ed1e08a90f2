//! What can go wrong.

use crate::Epoch;
use hearth_services::metastore::MetaStoreError;
use std::sync::Arc;

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
    /// A checkpoint of this epoch whose answer was lost came into force meanwhile. What is
    /// to stand can be written again.
    #[error("an earlier checkpoint came in between")]
    Overtaken,
    /// The state is larger than [`STATE_BYTES_MAX`](crate::STATE_BYTES_MAX).
    #[error("a state of {0} bytes is too large")]
    TooLarge(usize),
    /// A checkpoint of what is not there yet.
    #[error("there is no entry {0} yet")]
    NoSuchEntry(crate::Seq),
}

/// A record was not written, or nobody knows.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Others write now. The record is not in the journal and will not be.
    #[error("another epoch has begun")]
    Deposed,
    /// The store did not take it in time. It is not in the journal and will not be.
    #[error("the metadata store does not take what is appended")]
    NotWritten(#[source] Arc<MetaStoreError>),
    /// Nobody can tell. Only a new epoch finds out, so this writer writes no more.
    #[error("nobody knows whether it was appended")]
    Unknown(#[source] Arc<MetaStoreError>),
    /// Others write now, and a state stands for where the record is, or is not.
    #[error("another epoch has begun, and nobody knows whether it was appended before")]
    Untold,
    /// The writer's task has ended: it was closed, or it panicked.
    #[error("the journal's writer has ended")]
    Ended,
    /// It is larger than [`RECORD_BYTES_MAX`](crate::RECORD_BYTES_MAX).
    #[error("a record of {0} bytes is too large")]
    TooLarge(usize),
    /// Too much was written since the last checkpoint: another is due.
    #[error("the journal is full until a checkpoint is written")]
    Full,
}
