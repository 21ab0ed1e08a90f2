//! Snapshots of functions: initialised once, captured, and cloned ever after.

use crate::create::place as place_of;
use crate::damage::{self, Suspect};
use crate::environment::InitializationType;
use crate::layers::{self, LayerKey};
use crate::making::{Guest, Making};
use crate::shape::Shape;
use crate::snapshot::of_function;
use crate::snapshot_metrics::{self, Of};
use crate::{LocalWorker, WorkerService};
use async_trait::async_trait;
use hearth_services::snapshots::{BuildError, RetainError, Snapshots};
use hearth_services::worker::CreateError;
use hearth_snapshot_store::{About, Captured, Name, Stored};
use hearth_types::{FunctionVersion, SandboxId, SnapshotId, StageTimes};
use std::collections::BTreeSet;
use std::error::Error;
use std::fs::File;
use std::io;
use std::sync::Arc;
use tokio::time::Instant;

#[async_trait]
impl Snapshots for LocalWorker {
    async fn build(&self, version: &Arc<FunctionVersion>) -> Result<SnapshotId, BuildError> {
        let began = Instant::now();
        let id = SnapshotId::new();
        let built = build(&self.0, version, (id, false)).await;
        snapshot_metrics::built(Of::Function, &built, began.elapsed());
        built.map(|()| id).map_err(|error| match error {
            CreateError::InitFailed { failure, .. } => BuildError::InitFailed { failure },
            CreateError::NoCapacity => BuildError::NoCapacity,
            CreateError::ShuttingDown => BuildError::ShuttingDown,
            other => BuildError::Failed(Box::new(other)),
        })
    }

    async fn retain(&self, live: &BTreeSet<SnapshotId>) -> Result<(), RetainError> {
        let failed = |error| RetainError(Box::new(error));
        let snapshots = &self.0.snapshots;
        for name in snapshots.names().await.map_err(failed)? {
            if let Name::Function(_, id) = &name
                && !live.contains(id)
            {
                snapshots.remove(&name).await.map_err(failed)?;
                self.0.open_snapshots.forget(&name);
                self.0.damage.forget(&name);
            }
        }
        Ok(())
    }
}

/// Initialises a version and keeps what it is then as this snapshot: a new one, or in
/// place of what that was.
pub(crate) async fn build(
    worker: &Arc<WorkerService>,
    version: &Arc<FunctionVersion>,
    (id, anew): (SnapshotId, bool),
) -> Result<(), CreateError> {
    worker.runtime_layer(version.runtime)?;
    let promised = version.room().plus(worker.options.overhead());
    let _room = worker.admission.admit(promised).ok_or(CreateError::NoCapacity)?;
    let mut making = Making::new(worker, SandboxId::new(), version, StageTimes::default());
    making.to_capture = true;
    let key = LayerKey::of(worker, version);
    // Before the wait for a place: it starts guests of its own.
    let mut layer = layers::made(worker, key).await;
    let mut place = Some(place_of(worker).await?);
    let mut guest = clone_or_boot(&mut making, layer.as_ref()).await;
    if let (Err(CreateError::Vm(error)), Some(_)) = (&guest, &layer)
        && damage::drop_if_damaged(worker, &key).await
    {
        making.lost(&**error, "a damaged layer");
        drop(place.take());
        layer = layers::made(worker, key).await;
        place = Some(place_of(worker).await?);
        guest = clone_or_boot(&mut making, layer.as_ref()).await;
    }
    let guest = guest?;
    let _files = guest.guard();
    let guest = making.initialise(guest, InitializationType::SnapStart, &mut place).await?;
    let kept = keep(worker, version, (id, anew), &guest).await;
    guest.discard().await;
    if kept.is_err() && layer.is_some() {
        // It is compared with all of its layer, of which a start reads little.
        damage::suspect(worker, Suspect::Layer(key));
    }
    kept
}

async fn clone_or_boot(
    making: &mut Making<'_>,
    layer: Option<&Arc<Stored>>,
) -> Result<Guest, CreateError> {
    match layer {
        Some(layer) => making.clone_of(layer).await,
        None => making.boot().await,
    }
}

/// Stops a guest for good and keeps what it was.
async fn keep(
    worker: &WorkerService,
    version: &FunctionVersion,
    (id, anew): (SnapshotId, bool),
    guest: &Guest,
) -> Result<(), CreateError> {
    let serving = worker.serving.as_ref();
    let serving = serving.ok_or_else(|| failed(io::Error::other("there is no page server")))?;
    let state = guest.vm.capture().await.map_err(failed)?;
    guest.vm.kill().await;
    let memory = guest.captured.as_ref().map(File::try_clone).transpose().map_err(failed)?;
    let memory = memory.ok_or_else(|| failed(io::Error::other("the guest cannot be captured")))?;
    let scratch = File::open(&guest.scratch).map_err(failed)?;
    let Shape { memory_mib, vcpus, .. } = Shape::of(worker, version);
    let images = [&worker.images.os_layer, worker.runtime_layer(version.runtime)?];
    let images = images.map(|image| image.digest.as_str().to_owned());
    let origin = guest.origin();
    let captured = Captured {
        about: About {
            machine: worker.driver.machine().to_owned(),
            memory_mib,
            vcpus,
            images: images.into_iter().chain([version.code.image_file.clone()]).collect(),
        },
        memory: Arc::new(memory),
        parent: origin.as_deref(),
        state: state.0,
        scratch: Some(scratch),
        anew,
    };
    let stored = serving.snapshots.save(of_function(version, id), captured).await;
    worker.replace(Arc::new(stored.map_err(failed)?));
    Ok(())
}

fn failed(error: impl Error + Send + Sync + 'static) -> CreateError {
    CreateError::Vm(Box::new(error))
}
