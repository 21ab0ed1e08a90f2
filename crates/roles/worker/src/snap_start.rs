//! Snapshots of functions: initialised once, captured, and cloned ever after.

use crate::create::place;
use crate::environment::InitializationType;
use crate::layers::{self, LayerKey};
use crate::making::{Making, Origin};
use crate::sandbox::remove_dir;
use crate::snapshot::{FunctionSnapshot, Snapshot};
use crate::{LocalWorker, WorkerService};
use async_trait::async_trait;
use hearth_services::snapshots::{BuildError, RetainError, Snapshots};
use hearth_services::worker::CreateError;
use hearth_types::{FunctionVersion, SandboxId, SnapshotId, StageTimes};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::sync::Arc;

#[async_trait]
impl Snapshots for LocalWorker {
    async fn build(&self, version: &Arc<FunctionVersion>) -> Result<SnapshotId, BuildError> {
        build(&self.0, version).await.map_err(|error| match error {
            CreateError::InitFailed { failure, .. } => BuildError::InitFailed { failure },
            CreateError::NoCapacity => BuildError::NoCapacity,
            CreateError::ShuttingDown => BuildError::ShuttingDown,
            other => BuildError::Failed(Box::new(other)),
        })
    }

    async fn retain(&self, live: &BTreeSet<SnapshotId>) -> Result<(), RetainError> {
        self.0.snapshots.retain(live);
        Ok(())
    }
}

async fn build(
    worker: &Arc<WorkerService>,
    version: &Arc<FunctionVersion>,
) -> Result<SnapshotId, CreateError> {
    worker.runtime_layer(version.runtime)?;
    let promised = version.room().plus(worker.options.overhead());
    let _room = worker.admission.admit(promised).ok_or(CreateError::NoCapacity)?;
    let mut making = Making::new(worker, SandboxId::new(), version, StageTimes::default());
    making.to_capture = true;
    let captured = initialise_and_capture(&mut making).await;
    remove_dir(&making.dir).await;
    Ok(worker.snapshots.add(captured?))
}

async fn initialise_and_capture(making: &mut Making<'_>) -> Result<FunctionSnapshot, CreateError> {
    let (worker, version) = (making.worker, making.version);
    let place = place(worker).await?;
    let key = LayerKey::of(worker, version);
    let guest = match layers::made(worker, key).await {
        Some(layer) => making.guest(Origin::Layer(&layer)).await?,
        None => making.guest(Origin::Boot).await?,
    };
    let made = making.initialise(guest, InitializationType::SnapStart, place).await?;
    let state = made.vm.capture().await;
    made.vm.kill().await;
    let state = state.map_err(|e| CreateError::Vm(Box::new(e)))?;
    let files = || io::Error::other("the guest's memory is not in a file");
    let memory = made.memory.ok_or_else(files).map_err(|e| CreateError::Vm(Box::new(e)))?;
    let scratch = File::open(&made.scratch).map_err(|e| CreateError::Vm(Box::new(e)))?;
    Ok(FunctionSnapshot { guest: Snapshot { memory: Arc::new(memory), state }, scratch })
}
