//! Creating a sandbox: admission, a place among the starts, and then whichever way
//! of starting is the shortest that there is.
//!
//! ```text
//!              ┌ function snapshot ─► restore ─────────────────┐
//! admit ─► queue ─ runtime snapshot ─► configure ─► initialise ─► ready
//!              └ boot ─► prepare ────────┘
//! ```

use crate::layers::{self, LayerKey};
use crate::making::{Made, Making, Origin};
use crate::sandbox::{Sandbox, remove_dir};
use crate::{WorkerService, environment};
use hearth_services::worker::{CreateError, Created};
use hearth_types::{FunctionVersion, SandboxId, StageTimes, StartKind};
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
) -> Result<(Arc<Sandbox>, Created), CreateError> {
    // First: it is in vain to make room or wait for what cannot be started.
    worker.runtime_layer(version.runtime)?;
    let promised = version.room().plus(worker.options.overhead());
    let reservation = worker.admission.admit(promised).ok_or(CreateError::NoCapacity)?;
    let mut stages = StageTimes::default();
    let began = Instant::now();
    let place = place(worker).await?;
    stages.queue = began.elapsed();

    let mut making = Making::new(worker, id, version, stages);
    let made = shortest(&mut making, place).await;
    let (made, start) = match made {
        Ok(made) => made,
        Err(error) => {
            remove_dir(&making.dir).await;
            return Err(error);
        }
    };
    let created = Created { start, stages: making.stages };
    Ok((Arc::new(making.sandbox(made, reservation)), created))
}

/// Waits for a place among the starts.
pub(crate) async fn place(worker: &WorkerService) -> Result<SemaphorePermit<'_>, CreateError> {
    match tokio::time::timeout(QUEUE_WAIT_MAX, worker.starts.acquire()).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_closed)) => Err(CreateError::ShuttingDown),
        Err(_elapsed) => Err(CreateError::NoCapacity),
    }
}

/// Starts by the shortest way; what cannot be cloned goes a longer one.
async fn shortest(
    making: &mut Making<'_>,
    place: SemaphorePermit<'_>,
) -> Result<(Made, StartKind), CreateError> {
    let worker = making.worker;
    let version = making.version;
    if let Some(id) = version.snapshot {
        match worker.snapshots.open(id).await {
            Ok(snapshot) => match making.restore(&snapshot).await {
                Err(CreateError::Vm(error)) => making.lost(&*error, "a function's snapshot"),
                made => return made.map(|made| (made, StartKind::Restored)),
            },
            Err(error) => making.lost(&error, "a function's snapshot"),
        }
    }
    let how = environment::InitializationType::OnDemand;
    let key = LayerKey::of(worker, version);
    if let Some(layer) = worker.layers.get(&key) {
        match making.guest(Origin::Layer(&layer)).await {
            Ok(guest) => {
                let made = making.initialise(guest, how, place).await;
                return made.map(|made| (made, StartKind::Cold));
            }
            Err(CreateError::Vm(error)) => {
                worker.layers.discard(&key);
                making.lost(&*error, "a runtime's snapshot");
            }
            Err(error) => return Err(error),
        }
    }
    layers::want(worker, key);
    let guest = making.guest(Origin::Boot).await?;
    making.initialise(guest, how, place).await.map(|made| (made, StartKind::Booted))
}
