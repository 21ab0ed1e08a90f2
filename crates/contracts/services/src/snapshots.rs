//! Snapshots: initialised function versions, captured so that sandboxes start
//! from them.

use crate::worker::InitFailure;
use async_trait::async_trait;
use hearth_types::{FunctionVersion, SnapshotId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Why there is no snapshot of a version.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The function failed to initialise; it would again. Already in its log.
    #[error("the function failed to initialise")]
    InitFailed {
        /// The failure.
        failure: InitFailure,
    },
    /// There is no room to initialise it in now.
    #[error("no capacity is left for another sandbox")]
    NoCapacity,
    /// The machinery failed; another try may do better.
    #[error("the snapshot could not be taken")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Whoever builds it is going down.
    #[error("the worker is shutting down")]
    ShuttingDown,
}

/// Snapshots could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("snapshots that nothing names could not be removed")]
pub struct RetainError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The service. A version's record names its snapshot; this keeps what is named.
#[async_trait]
pub trait Snapshots: Send + Sync {
    /// Initialises the version in a sandbox of its own and captures it, durably.
    ///
    /// `version` is `Pending`. Once it is `Active` its revision is another, so a
    /// snapshot is bound to everything of a version's key but that.
    ///
    /// Not cancel-safe: run it to its end in a task of its own.
    async fn build(&self, version: &Arc<FunctionVersion>) -> Result<SnapshotId, BuildError>;

    /// Removes every snapshot but these. Never called while a build runs: one that
    /// has ended is named by then, or never will be.
    async fn retain(&self, live: &BTreeSet<SnapshotId>) -> Result<(), RetainError>;
}
