//! What this process leads, for those who ask it from elsewhere.

use async_trait::async_trait;
use hearth_services::assignment::{AcquireError, Acquired, Disposition, SandboxInfo};
use hearth_types::{AccountId, FunctionVersion, Hold, Partition, SandboxId, StartKind};
use std::sync::Arc;

/// The partition is not led here, or not any more. Nothing was done.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error,
)]
#[error("the partition is not led here")]
pub struct NotLed;

/// The partitions that are led in a process.
#[async_trait]
pub trait Leaders: Send + Sync {
    /// See [`Assignment::acquire`](hearth_services::assignment::Assignment::acquire).
    async fn acquire(
        &self,
        partition: Partition,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
    ) -> Result<Result<Acquired, AcquireError>, NotLed>;

    /// See [`Assignment::release`](hearth_services::assignment::Assignment::release).
    async fn release(
        &self,
        sandbox: SandboxId,
        hold: Hold,
        disposition: Disposition,
    ) -> Result<(), NotLed>;

    /// The sandboxes of one account in all partitions that are led here.
    async fn list(&self, account: &AccountId) -> Vec<SandboxInfo>;
}
