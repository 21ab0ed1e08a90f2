//! Assignment: knows every sandbox and whether it is idle or busy, and hands
//! one out for each invocation.

use crate::worker::{CreateError, InitFailure};
use async_trait::async_trait;
use hearth_types::{
    AccountId, FunctionName, FunctionVersion, Hold, MemoryMb, SandboxId, StageTimes, StartKind,
    Timestamp, Version, WorkerId,
};
use std::sync::Arc;

/// A sandbox that is the caller's alone until it is released.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Acquired {
    /// The sandbox.
    pub sandbox: SandboxId,
    /// The worker that runs it.
    pub worker: WorkerId,
    /// That it is the caller's.
    pub hold: Hold,
    /// How it was had.
    pub start: StartKind,
    /// Time spent so far, by stage.
    pub stages: StageTimes,
}

/// What the caller found out about the sandbox it gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Disposition {
    /// It finished its invocation and can serve another.
    Reusable,
    /// It timed out, crashed or misbehaved: it must never serve again.
    Discard,
    /// It was made just now, and was gone before its first event: the same, and the function
    /// avoids its worker for a while.
    Missing,
}

/// Why no sandbox could be had.
#[derive(Debug, thiserror::Error)]
pub enum AcquireError {
    /// The account runs as many invocations as it may.
    #[error("the account's concurrency limit is reached")]
    AccountConcurrency,
    /// The fleet is full and nothing idle is left to evict.
    #[error("no capacity is left for another sandbox")]
    NoCapacity,
    /// The function itself failed to initialise; the caller answers with this.
    #[error("the function failed to initialise")]
    InitFailed {
        /// The failure, as the function's own error.
        failure: InitFailure,
        /// Time spent, by stage.
        stages: StageTimes,
    },
    /// Nobody leads the function's partition at the moment, or whoever does cannot write
    /// down whose sandboxes are; a little later it may be otherwise.
    #[error("the function's partition is not served at the moment")]
    Unserved(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The machinery failed.
    #[error("the sandbox could not be created")]
    Create(#[source] CreateError),
}

/// A sandbox as listings show it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct SandboxInfo {
    /// The sandbox.
    pub id: SandboxId,
    /// The worker; unknown while it starts.
    pub worker: Option<WorkerId>,
    /// Function and version it belongs to.
    pub function: FunctionName,
    /// The version.
    pub version: Version,
    /// Its function's memory.
    pub memory: MemoryMb,
    /// `starting`, `idle` or `busy`.
    pub state: SandboxState,
    /// When it was made.
    pub created: Timestamp,
    /// When it last began or ended an invocation.
    pub last_used: Timestamp,
    /// Invocations it has served.
    pub invocations: u64,
}

/// What a sandbox is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxState {
    /// Being booted or restored, or initialising.
    Starting,
    /// Waiting for an invocation.
    Idle,
    /// Running one.
    Busy,
}

impl SandboxState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Starting, Self::Idle, Self::Busy];

    /// The word used in tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Busy => "busy",
        }
    }
}

/// The service.
#[async_trait]
pub trait Assignment: Send + Sync {
    /// A sandbox of exactly this version and revision: an idle one, else a new
    /// one. The caller must call `release` once for each success.
    ///
    /// `quickest` is the quickest kind of start that will do: `Warm` leaves nothing
    /// out, any other asks for a new sandbox.
    ///
    /// Not cancel-safe: run it to its end in a task of its own.
    async fn acquire(
        &self,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
    ) -> Result<Acquired, AcquireError>;

    /// Gives a sandbox back. One that is not held like this any more stays as it is.
    async fn release(&self, sandbox: SandboxId, hold: Hold, disposition: Disposition);

    /// All sandboxes of one account.
    async fn list(&self, account: &AccountId) -> Vec<SandboxInfo>;
}
