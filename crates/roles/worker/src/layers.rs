//! Snapshots of runtimes that wait for a function: one for each runtime and size of
//! guest, made in the background once the first sandbox of that size has started.
//!
//! ```text
//!  boot ──► OS snapshot ──► runtime snapshot ──► sandboxes of its functions
//!           (any runtime)    of a clone that prepared
//! ```

use crate::blank::{Blank, BlankError, Disks};
use crate::capture::GuestMemory;
use crate::channel::{AgentChannel, ChannelError};
use crate::code::local;
use crate::dialogue::{self, DialogueError};
use crate::guest_files::nothing;
use crate::sandbox::DirGuard;
use crate::shape::Shape;
use crate::snapshot::{self, SnapshotError};
use crate::snapshot_metrics::{self, Of};
use crate::{Serving, WorkerService, damage, environment};
use hearth_snapshot_store::{About, Captured, LayerName, Name, SaveError, Stored};
use hearth_types::{FunctionVersion, Room, Runtime, SandboxId};
use hearth_vmm::{Vm, VmError};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a layer that could not be made is not tried again.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// What a guest that is only captured writes to: nothing.
const SCRATCH_MIB: u32 = 512;

/// Which layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LayerKey {
    /// None: a guest that has booted, and no more.
    pub(crate) runtime: Option<Runtime>,
    pub(crate) memory_mib: u32,
    pub(crate) vcpus: u32,
}

impl LayerKey {
    /// The layer that a version's sandboxes come from.
    pub(crate) fn of(worker: &WorkerService, version: &FunctionVersion) -> Self {
        let Shape { memory_mib, vcpus, .. } = Shape::of(worker, version);
        Self { runtime: Some(version.runtime), memory_mib, vcpus }
    }

    fn shape(&self) -> Shape {
        Shape { memory_mib: self.memory_mib, vcpus: self.vcpus, scratch_mib: SCRATCH_MIB }
    }
}

/// Why a layer could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayerError {
    #[error("there is no room for another guest")]
    NoRoom,
    #[error("this server takes no snapshots")]
    NoSnapshots,
    #[error("the worker is shutting down")]
    ShuttingDown,
    #[error("a guest could not be had")]
    Blank(#[from] BlankError),
    #[error("the guest's memory could not be put into a file")]
    Memory(#[source] io::Error),
    #[error("the guest did not start, or could not be captured")]
    Vm(#[from] VmError),
    #[error("the guest did not get ready")]
    Dialogue(#[from] DialogueError),
    #[error("the snapshot could not be kept")]
    Save(#[from] SaveError),
}

#[derive(Clone, Copy)]
enum Making {
    Now,
    /// It could not be made, or of no use.
    NotBefore(Instant),
}

/// The layers that are being made, or could not be.
#[derive(Default)]
pub(crate) struct Layers {
    making: Mutex<HashMap<LayerKey, Making>>,
    /// One guest at a time is made a layer of.
    one_at_a_time: tokio::sync::Mutex<()>,
    /// Tells whoever waits for a layer to look again.
    changed: watch::Sender<()>,
}

impl Layers {
    /// Notes that guests cannot be made of a layer.
    pub(crate) fn failed(&self, key: &LayerKey) {
        let when = Instant::now() + RETRY_AFTER;
        self.making.lock().insert(*key, Making::NotBefore(when));
    }

    /// Has a layer made when it is wanted after that, unless it is being made.
    pub(crate) fn put_off(&self, key: &LayerKey, when: Instant) {
        let mut making = self.making.lock();
        if !matches!(making.get(key), Some(Making::Now)) {
            making.insert(*key, Making::NotBefore(when));
        }
    }

    /// Whether the caller is to make this layer now.
    fn claim(&self, key: &LayerKey) -> bool {
        let mut making = self.making.lock();
        match making.get(key) {
            Some(Making::Now) => false,
            Some(Making::NotBefore(when)) if *when > Instant::now() => false,
            _ => {
                making.insert(*key, Making::Now);
                true
            }
        }
    }

    fn has_failed(&self, key: &LayerKey) -> bool {
        let making = self.making.lock();
        matches!(making.get(key), Some(Making::NotBefore(when)) if *when > Instant::now())
    }

    fn is_being_made(&self, key: &LayerKey) -> bool {
        matches!(self.making.lock().get(key), Some(Making::Now))
    }
}

/// A layer, if it is there and was not found to be of no use a moment ago.
pub(crate) async fn find(worker: &WorkerService, key: &LayerKey) -> Option<Arc<Stored>> {
    if worker.layers.has_failed(key) {
        return None;
    }
    match worker.snapshot(&worker.layer_name(key)).await {
        Ok(layer) => Some(layer),
        Err(SnapshotError::Missing(_) | SnapshotError::NoSnapshots) => None,
        Err(error) => {
            tracing::warn!(
                ?key,
                error = &error as &dyn std::error::Error,
                "a layer cannot be used, and is made anew"
            );
            None
        }
    }
}

/// Has a layer made in the background, unless it is there or being made.
pub(crate) fn want(worker: &Arc<WorkerService>, key: LayerKey) {
    if worker.serving.is_none() || !worker.layers.claim(&key) {
        return;
    }
    let weak = Arc::downgrade(worker);
    hearth_tasks::spawn_tracked(&worker.watchers, "layer snapshot", async move {
        let Some(worker) = weak.upgrade() else { return };
        if find(&worker, &key).await.is_some() {
            // Somebody wanted to boot all the same.
            worker.layers.making.lock().remove(&key);
            worker.layers.changed.send_replace(());
            return;
        }
        let began = Instant::now();
        let made = tokio::select! {
            made = worker.make_layer(key) => made,
            // What was started dies with its handle.
            () = worker.stopping.cancelled() => Err(LayerError::ShuttingDown),
        };
        snapshot_metrics::built(Of::Layer, &made, began.elapsed());
        match &made {
            Ok(layer) => tracing::info!(layer = %layer.name,
                took_ms = began.elapsed().as_millis() as u64, "made a layer"),
            Err(error) => tracing::warn!(
                ?key,
                error = error as &dyn std::error::Error,
                "a layer could not be made, so sandboxes boot"
            ),
        }
        match made {
            Ok(_) => drop(worker.layers.making.lock().remove(&key)),
            Err(_) => worker.layers.failed(&key),
        }
        worker.layers.changed.send_replace(());
    });
}

/// A layer, made now if it is not there. None if that cannot be done.
pub(crate) async fn made(worker: &Arc<WorkerService>, key: LayerKey) -> Option<Arc<Stored>> {
    let mut changed = worker.layers.changed.subscribe();
    if let Some(layer) = find(worker, &key).await {
        return Some(layer);
    }
    want(worker, key);
    while worker.layers.is_being_made(&key) {
        // The sender lives as long as the worker.
        changed.changed().await.ok()?;
    }
    find(worker, &key).await
}

impl WorkerService {
    /// Names a layer by all that its guests are made of.
    pub(crate) fn layer_name(&self, key: &LayerKey) -> Name {
        let images = &self.images;
        let runtime = key.runtime.map_or("os", Runtime::as_str);
        let layer = key.runtime.and_then(|runtime| images.runtime_layers.get(&runtime));
        let (memory, vcpus) = (key.memory_mib.to_string(), key.vcpus.to_string());
        snapshot::of_layer(LayerName::of(
            runtime,
            &[
                self.driver.machine(),
                images.kernel.digest.as_str(),
                images.initramfs.digest.as_str(),
                images.os_layer.digest.as_str(),
                layer.map_or("", |layer| layer.digest.as_str()),
                &memory,
                &vcpus,
            ],
        ))
    }

    async fn make_layer(self: &Arc<Self>, key: LayerKey) -> Result<Arc<Stored>, LayerError> {
        let serving = self.serving.as_ref().ok_or(LayerError::NoSnapshots)?;
        let _alone = self.layers.one_at_a_time.lock().await;
        let os = LayerKey { runtime: None, ..key };
        let below = match find(self, &os).await {
            Some(below) => below,
            None => self.capture_os(serving, os).await?,
        };
        match key.runtime {
            None => Ok(below),
            Some(runtime) => match self.capture_runtime(serving, key, runtime, &below).await {
                // All of it was read for that.
                Err(error) if damage::drop_if_damaged(self, &os).await => {
                    tracing::warn!(
                        ?key,
                        error = &error as &dyn std::error::Error,
                        "a layer could not be made on a damaged one, which is made anew first"
                    );
                    let below = self.capture_os(serving, os).await?;
                    self.capture_runtime(serving, key, runtime, &below).await
                }
                made => made,
            },
        }
    }

    async fn capture_os(
        self: &Arc<Self>,
        serving: &Serving,
        key: LayerKey,
    ) -> Result<Arc<Stored>, LayerError> {
        let _room = self.admission.admit_aside(self.room_of(key)).ok_or(LayerError::NoRoom)?;
        let files = serving.servers.get(self).await.map_err(BlankError::from)?;
        let memory = GuestMemory::empty(key.memory_mib).await.map_err(LayerError::Memory)?;
        let os_image = local(&self.images.os_layer.path);
        let (os, nothing, none) =
            tokio::try_join!(files.disk_of(&os_image), files.placeholder(), files.placeholder(),)
                .map_err(BlankError::from)?;
        let disks = Disks([os, nothing, none]);
        let id = SandboxId::new();
        let dir = self.options.sandboxes_dir().join(id.to_string());
        let _guard = DirGuard::new(dir.clone());
        let scratch = self.make_scratch(&dir, SCRATCH_MIB).await?;
        let spec = self.spec(id, key.shape(), memory.captured(), disks.with(&scratch));
        let vm = self.driver.create(spec).await?;
        let (memory, _no_name_more) = memory.split();
        let mut channel = channel_of(vm.as_ref())?;
        dialogue::hello(&mut channel).await?;
        self.keep_layer(serving, key, vm.as_ref(), memory, None).await
    }

    async fn capture_runtime(
        self: &Arc<Self>,
        serving: &Serving,
        key: LayerKey,
        runtime: Runtime,
        below: &Arc<Stored>,
    ) -> Result<Arc<Stored>, LayerError> {
        let _room = self.admission.admit_aside(self.room_of(key)).ok_or(LayerError::NoRoom)?;
        let layer = self.images.runtime_layers.get(&runtime);
        let layer = layer.map_or_else(nothing, |layer| local(&layer.path));
        let blank = Blank::to_capture(self, serving, key.shape(), below).await?;
        let _guard = DirGuard::new(blank.dir.clone());
        let images = [local(&self.images.os_layer.path), layer, nothing()];
        let cloned = blank.become_clone(below, &images).await?;
        let mut channel = channel_of(cloned.vm.as_ref())?;
        dialogue::prepare(&mut channel, environment::before_function(runtime)).await?;
        let memory = cloned
            .captured
            .ok_or_else(|| LayerError::Memory(io::Error::other("the guest cannot be captured")))?;
        self.keep_layer(serving, key, cloned.vm.as_ref(), memory, Some(below)).await
    }

    /// Stops a guest for good and keeps what it was.
    async fn keep_layer(
        &self,
        serving: &Serving,
        key: LayerKey,
        vm: &dyn Vm,
        memory: File,
        parent: Option<&Stored>,
    ) -> Result<Arc<Stored>, LayerError> {
        let state = vm.capture().await;
        vm.kill().await;
        let images = &self.images;
        let layer = key.runtime.and_then(|runtime| images.runtime_layers.get(&runtime));
        let images = [Some(&images.os_layer), layer].into_iter().flatten();
        let captured = Captured {
            about: About {
                machine: self.driver.machine().to_owned(),
                memory_mib: key.memory_mib,
                vcpus: key.vcpus,
                images: images.map(|image| image.digest.as_str().to_owned()).collect(),
            },
            memory: Arc::new(memory),
            parent,
            state: state?.0,
            scratch: None,
            // Perhaps one of that name was lost to damage, and much hangs on it.
            anew: true,
        };
        let stored = serving.snapshots.save(self.layer_name(&key), captured).await?;
        let stored = Arc::new(stored);
        self.open_snapshots.put(Arc::clone(&stored));
        Ok(stored)
    }

    fn room_of(&self, key: LayerKey) -> Room {
        let mib = key.memory_mib + self.options.vmm_overhead_mib;
        Room { memory_bytes: u64::from(mib) << 20, disk_bytes: u64::from(SCRATCH_MIB) << 20 }
    }
}

/// The stream to a new guest's agent.
pub(crate) fn channel_of(vm: &dyn Vm) -> Result<AgentChannel, DialogueError> {
    let stream = vm.take_agent_stream().ok_or(DialogueError::Agent("has no stream".into()))?;
    Ok(AgentChannel::new(stream).map_err(ChannelError::Io)?)
}
