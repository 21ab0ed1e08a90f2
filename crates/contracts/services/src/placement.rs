//! Placement: picks a worker for a new sandbox and has it created there.

use crate::worker::{CreateError, Created};
use async_trait::async_trait;
use hearth_types::{FunctionVersion, Reign, Room, SandboxId, StartKind, VersionKey, WorkerId};
use std::sync::Arc;

/// A sandbox that exists and is initialised.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Placed {
    /// The worker that runs it.
    pub worker: WorkerId,
    /// What its creation took, with `place` filled in.
    pub created: Created,
}

/// What the fleet lacks for one more sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Shortage {
    /// What the best worker lacks: an empty room if it has as many sandboxes as it may, and
    /// none if no worker takes any, so that room for it would help nobody.
    pub room: Option<Room>,
    /// What an idle sandbox there frees beyond its function's own.
    pub sandbox_overhead: Room,
}

/// Why a sandbox could not be placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// No worker has room.
    #[error("no worker has room")]
    NoCapacity(Shortage),
    /// A worker was chosen and failed.
    #[error("the worker could not create the sandbox")]
    Create(#[source] CreateError),
}

/// The service.
#[async_trait]
pub trait Placement: Send + Sync {
    /// Creates the sandbox `id` for `version` on the best worker, by no quicker kind
    /// of start than `quickest`, in the name of `reign`.
    ///
    /// Not cancel-safe: run it to its end in a task of its own.
    async fn place(
        &self,
        id: SandboxId,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
        reign: Reign,
    ) -> Result<Placed, PlaceError>;

    /// What a worker created for a function could not be used. For a while it gets that
    /// function's sandboxes only if no other can take them.
    fn doubt(&self, version: &VersionKey, worker: &WorkerId);
}
