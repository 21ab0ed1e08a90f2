//! What this process leads, for those who ask it from elsewhere.

use async_trait::async_trait;
use hearth_planner::IdleSandbox;
use hearth_services::assignment::{AcquireError, Acquired, Disposition, SandboxInfo};
use hearth_types::{
    AccountId, FunctionVersion, Hold, Partition, Room, SandboxId, StartKind, VersionKey, WorkerId,
};
use std::sync::Arc;

/// The partition is not led here, or not any more. Nothing was done.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error,
)]
#[error("the partition is not led here")]
pub struct NotLed;

/// A sandbox that was idle, and is the caller's alone until it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Idle {
    /// The sandbox.
    pub sandbox: SandboxId,
    /// The worker that runs it.
    pub worker: WorkerId,
    /// That it is the caller's.
    pub hold: Hold,
}

/// What could make room for a sandbox, whosever it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Spare {
    /// Sandboxes that are idle: those that have been for longest.
    pub idle: Vec<IdleSandbox>,
    /// Others are being killed already.
    pub kills: bool,
}

impl Spare {
    /// Adds another's.
    pub fn add(&mut self, other: Self) {
        self.idle.extend(other.idle);
        self.kills |= other.kills;
    }
}

/// The partitions that are led in a process.
#[async_trait]
pub trait Leaders: Send + Sync {
    /// An idle sandbox of this version and revision, if there is one and its account may run
    /// another event. From memory, at once: the way of a warm call.
    fn acquire_idle(
        &self,
        partition: Partition,
        version: &VersionKey,
    ) -> Result<Option<Idle>, NotLed>;

    /// See [`Assignment::acquire`](hearth_services::assignment::Assignment::acquire).
    async fn acquire(
        &self,
        partition: Partition,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
    ) -> Result<Result<Acquired, AcquireError>, NotLed>;

    /// See [`Assignment::release`](hearth_services::assignment::Assignment::release). At once;
    /// what has to be killed is killed in the background.
    fn release(
        &self,
        sandbox: SandboxId,
        hold: Hold,
        disposition: Disposition,
    ) -> Result<(), NotLed>;

    /// What could make room; each sandbox frees `overhead` beyond its function's own.
    fn spare(&self, overhead: Room) -> Spare;

    /// Takes those of these sandboxes that are idle here, and has them killed. Returns which:
    /// whoever asked second gets none.
    fn take(&self, ids: &[SandboxId]) -> Vec<SandboxId>;

    /// Returns once none of these is being killed, or after a few seconds.
    async fn gone(&self, ids: &[SandboxId]);

    /// How many invocations each account has running here.
    fn running(&self) -> Vec<(AccountId, usize)>;

    /// The sandboxes of one account in all partitions that are led here.
    async fn list(&self, account: &AccountId) -> Vec<SandboxInfo>;
}
