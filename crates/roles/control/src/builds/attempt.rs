//! One try to build a snapshot, and what it makes of the version's record.

use super::{is_unbuilt, reason};
use crate::metrics::BuildEnd;
use crate::records::Stored;
use crate::service::ControlService;
use hearth_services::control::ControlError;
use hearth_services::keys;
use hearth_services::metastore::Txn;
use hearth_services::snapshots::{BuildError, Snapshots};
use hearth_types::{
    FunctionVersion, LastUpdateStatus, RevisionId, SnapshotId, State, StateReasonCode, VersionKey,
};
use std::error::Error;
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// There is nothing more to do for this version.
    Over(BuildEnd),
    /// It is to be tried again.
    Again(BuildEnd),
}

/// A build in a task of its own: its panic counts as a failure like others.
async fn build(
    snapshots: Arc<dyn Snapshots>,
    version: Arc<FunctionVersion>,
) -> Result<SnapshotId, BuildError> {
    let build = async move { snapshots.build(&version).await };
    let task = AbortOnDropHandle::new(hearth_tasks::spawn("snapshot build", build));
    task.await.unwrap_or_else(|panic| Err(BuildError::Failed(Box::new(panic))))
}

impl ControlService {
    /// Builds the snapshot of the version that `key` names, if it still is to be
    /// built; `last` if a failure is final.
    pub(super) async fn attempt(
        &self,
        snapshots: Arc<dyn Snapshots>,
        key: &VersionKey,
        last: bool,
    ) -> Attempt {
        // Until the snapshot is named, or known to be nobody's, no sweep may judge it.
        let _unnamed = self.naming_snapshots.read().await;
        let tried = async {
            let Some(pending) = self.unbuilt(key).await? else {
                return Ok(Attempt::Over(BuildEnd::Gone));
            };
            let built = build(snapshots, Arc::new(pending.record.clone())).await;
            self.settle(pending, built, last).await
        };
        tried.await.unwrap_or_else(|error: ControlError| {
            // The record stays as it is, so it is built again, however often: no
            // reason could be written down either.
            tracing::warn!(version = ?key, error = &error as &dyn Error,
                "the store failed while a snapshot was built; trying again");
            Attempt::Again(BuildEnd::Failed)
        })
    }

    /// The record, if it is still that of a version to be built.
    async fn unbuilt(
        &self,
        key: &VersionKey,
    ) -> Result<Option<Stored<FunctionVersion>>, ControlError> {
        // What is left of a function that is being deleted is nobody's.
        if self.records.function(&key.account, &key.function).await?.is_none() {
            return Ok(None);
        }
        let found = self.records.version(&key.account, &key.function, key.version).await?;
        Ok(found.filter(|found| found.record.key == *key && is_unbuilt(&found.record)))
    }

    async fn settle(
        &self,
        pending: Stored<FunctionVersion>,
        built: Result<SnapshotId, BuildError>,
        last: bool,
    ) -> Result<Attempt, ControlError> {
        let of = pending.record.key.clone();
        let (end, code, reason) = match built {
            Ok(snapshot) => return self.activate(pending, snapshot).await,
            Err(BuildError::InitFailed { failure }) => {
                let reason = reason::init_failed(&failure);
                (BuildEnd::InitFailed, StateReasonCode::FunctionError, reason)
            }
            Err(BuildError::ShuttingDown) => return Ok(Attempt::Again(BuildEnd::Stopped)),
            Err(BuildError::NoCapacity) if last => {
                let reason = reason::NO_CAPACITY.to_owned();
                (BuildEnd::NoCapacity, StateReasonCode::InsufficientCapacity, reason)
            }
            Err(BuildError::NoCapacity) => return Ok(Attempt::Again(BuildEnd::NoCapacity)),
            Err(error @ BuildError::Failed(_)) => {
                tracing::warn!(version = ?of, last, error = &error as &dyn Error,
                    "a snapshot could not be built");
                if !last {
                    return Ok(Attempt::Again(BuildEnd::Failed));
                }
                let reason = reason::FAILED.to_owned();
                (BuildEnd::Failed, StateReasonCode::InternalError, reason)
            }
        };
        let failed = |version: &mut FunctionVersion| {
            version.state = State::Failed;
            version.state_reason_code = Some(code);
            version.state_reason = Some(reason.clone());
            version.last_update_status = LastUpdateStatus::Failed;
            version.last_update_reason = Some(reason);
        };
        let ended = self.transition(pending, failed).await?;
        Ok(Attempt::Over(if ended { end } else { BuildEnd::Gone }))
    }

    async fn activate(
        &self,
        pending: Stored<FunctionVersion>,
        snapshot: SnapshotId,
    ) -> Result<Attempt, ControlError> {
        let active = |version: &mut FunctionVersion| {
            version.state = State::Active;
            version.state_reason_code = None;
            version.state_reason = None;
            version.last_update_status = LastUpdateStatus::Successful;
            version.last_update_reason = None;
            version.snapshot = Some(snapshot);
        };
        let ended = self.transition(pending, active).await?;
        Ok(Attempt::Over(if ended { BuildEnd::Built } else { BuildEnd::Gone }))
    }

    /// Writes what became of a version, unless its record is not the same any more.
    /// The revision changes: it names one state of a version, and sandboxes, which
    /// it keys, start from the snapshot only in this one.
    async fn transition(
        &self,
        pending: Stored<FunctionVersion>,
        change: impl FnOnce(&mut FunctionVersion),
    ) -> Result<bool, ControlError> {
        let mut version = pending.record;
        change(&mut version);
        version.key.revision = RevisionId::new();
        let VersionKey { account, function, version: number, .. } = &version.key;
        let key = keys::version(account, function, *number);
        let txn =
            Txn::new().unchanged(key.clone(), pending.revision).put(key, keys::encode(&version));
        self.records.commit(txn).await
    }
}
