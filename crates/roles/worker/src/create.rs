//! Creating a sandbox: admission, a place among the starts, and then whichever way
//! of starting is the shortest that there is.
//!
//! ```text
//!              ┌ function snapshot ─► restore ─────────────────┐
//! admit ─► queue ─ runtime snapshot ─► configure ─► initialise ─► ready
//!              └ boot ─► prepare ────────┘
//! ```

use crate::creating::InCreation;
use crate::damage::{self, Suspect};
use crate::environment::InitializationType;
use crate::layers::{self, LayerKey};
use crate::making::{Guest, Making};
use crate::sandbox::Sandbox;
use crate::snapshot::of_function;
use crate::snapshot_metrics::{self, Of};
use crate::{WorkerService, pool};
use hearth_services::worker::{CreateError, Created};
use hearth_types::{FunctionVersion, Partition, SandboxId, SnapshotId, StageTimes, StartKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

/// Longest wait for a place among the starts; a worker that is so far behind has
/// no room, whatever its memory says.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(60);

/// Creates a sandbox.
pub(crate) async fn sandbox(
    worker: &Arc<WorkerService>,
    id: SandboxId,
    version: &Arc<FunctionVersion>,
    quickest: StartKind,
    partition: Partition,
    creation: &InCreation<'_>,
) -> Result<(Arc<Sandbox>, Created), CreateError> {
    // First: it is in vain to make room or wait for what cannot be started.
    worker.runtime_layer(version.runtime)?;
    let promised = version.room().plus(worker.options.overhead());
    let reservation = worker.admission.admit(promised).ok_or(CreateError::NoCapacity)?;
    creation.admitted();
    let newcomer = worker.newcomers.add();
    let mut stages = StageTimes::default();
    let began = Instant::now();
    let place = place(worker).await?;
    stages.queue = began.elapsed();

    let mut making = Making::new(worker, id, version, stages);
    let made = shortest(&mut making, quickest, place).await;
    worker.outcomes.made(&made, making.is_functions);
    let (guest, start) = made?;
    let revision = worker.admission.used().revision;
    let created = Created { start, stages: making.stages, revision };
    // Only now: it would take time from the start.
    match start {
        StartKind::Booted => layers::want(worker, LayerKey::of(worker, version)),
        _ => pool::refill(worker),
    }
    Ok((Arc::new(making.sandbox(guest, partition, reservation, newcomer)), created))
}

/// Waits for a place among the starts.
pub(crate) async fn place(worker: &WorkerService) -> Result<SemaphorePermit<'_>, CreateError> {
    match tokio::time::timeout(QUEUE_WAIT_MAX, worker.starts.acquire()).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_closed)) => Err(CreateError::ShuttingDown),
        Err(_elapsed) => Err(CreateError::NoCapacity),
    }
}

/// Starts by the shortest way; where something of ours fails on it, a longer one.
async fn shortest(
    making: &mut Making<'_>,
    quickest: StartKind,
    place: SemaphorePermit<'_>,
) -> Result<(Guest, StartKind), CreateError> {
    let (worker, version) = (making.worker, making.version);
    let mut place = Some(place);
    if let Some(id) = version.snapshot
        && quickest <= StartKind::Restored
        && !damage::passes_by(worker, version, id)
    {
        match restored(making, id).await {
            Err(CreateError::Vm(error)) => {
                snapshot_metrics::fell_back(Of::Function);
                making.lost(&*error, "a function's snapshot");
                damage::suspect(worker, Suspect::Function(Arc::clone(version), id));
            }
            made => return made.map(|guest| (guest, StartKind::Restored)),
        }
    }
    let how = InitializationType::OnDemand;
    let key = LayerKey::of(worker, version);
    if quickest <= StartKind::Cold
        && let Some(layer) = layers::find(worker, &key).await
    {
        match making.clone_of(&layer).await {
            Ok(guest) => match making.initialise(guest, how, &mut place).await {
                // Its first pages may have been there, and others not. Or the function
                // broke its guest: that must not cost other functions the layer.
                Err(CreateError::Vm(error)) => {
                    snapshot_metrics::fell_back(Of::Layer);
                    making.lost(&*error, "a runtime's snapshot");
                    damage::suspect(worker, Suspect::Layer(key));
                }
                made => return made.map(|guest| (guest, StartKind::Cold)),
            },
            Err(CreateError::Vm(error)) => {
                worker.layers.failed(&key);
                snapshot_metrics::fell_back(Of::Layer);
                making.lost(&*error, "a runtime's snapshot");
                damage::suspect(worker, Suspect::Layer(key));
            }
            Err(error) => return Err(error),
        }
    }
    let guest = making.boot().await?;
    let guest = making.initialise(guest, how, &mut place).await?;
    Ok((guest, StartKind::Booted))
}

async fn restored(making: &mut Making<'_>, id: SnapshotId) -> Result<Guest, CreateError> {
    let name = of_function(making.version, id);
    let opened = making.worker.snapshot(&name).await;
    let snapshot = opened.map_err(|error| CreateError::Vm(Box::new(error)))?;
    let guest = making.clone_of(&snapshot).await?;
    making.restore(guest).await
}
