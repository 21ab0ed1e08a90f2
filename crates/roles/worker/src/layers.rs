//! Snapshots of runtimes that wait for a function: one for each runtime and size of
//! guest, made in the background when the first sandbox of that size is started.
//!
//! ```text
//!  boot ──► OS snapshot ──► runtime snapshot ──► sandboxes of its functions
//!           (any runtime)    a clone that prepared
//! ```

use crate::WorkerService;
use crate::capture::GuestMemory;
use crate::channel::{AgentChannel, ChannelError};
use crate::dialogue::{self, DialogueError};
use crate::environment;
use crate::snapshot::Snapshot;
use hearth_types::{FunctionVersion, Room, Runtime, SandboxId};
use hearth_vmm::{Disk, Memory, Vm, VmError, VmSpec};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What guests are told is there where their own disks will be: larger than any.
const PLACEHOLDER_BYTES: u64 = 16 << 30;
/// How long a layer that could not be made is not tried again.
const RETRY_AFTER: Duration = Duration::from_secs(60);

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
        Self {
            runtime: Some(version.runtime),
            memory_mib: version.memory.get() + worker.options.guest_overhead_mib,
            vcpus: version.memory.vcpus(),
        }
    }
}

/// Why a layer could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayerError {
    #[error("there is no room for another guest")]
    NoRoom,
    #[error("a file for the guest could not be made")]
    Files(#[source] io::Error),
    #[error("the guest did not start, or could not be captured")]
    Vm(#[from] VmError),
    #[error("the guest did not get ready")]
    Dialogue(#[from] DialogueError),
}

enum Layer {
    Building,
    Ready(Arc<Snapshot>),
    Failed(Instant),
}

/// The layers that there are.
#[derive(Default)]
pub(crate) struct Layers {
    known: Mutex<HashMap<LayerKey, Layer>>,
    /// One guest at a time is made a layer of.
    building: tokio::sync::Mutex<()>,
    /// Tells whoever waits for a layer to look again.
    changed: tokio::sync::watch::Sender<()>,
}

impl Layers {
    /// A layer, if it is there.
    pub(crate) fn get(&self, key: &LayerKey) -> Option<Arc<Snapshot>> {
        match self.known.lock().get(key) {
            Some(Layer::Ready(snapshot)) => Some(Arc::clone(snapshot)),
            _ => None,
        }
    }

    /// Forgets a layer that guests cannot be made of.
    pub(crate) fn discard(&self, key: &LayerKey) {
        self.known.lock().insert(*key, Layer::Failed(Instant::now()));
    }

    /// Whether the caller is to make this layer now.
    fn claim(&self, key: &LayerKey) -> bool {
        let mut known = self.known.lock();
        match known.get(key) {
            Some(Layer::Building | Layer::Ready(_)) => false,
            Some(Layer::Failed(when)) if when.elapsed() < RETRY_AFTER => false,
            _ => {
                known.insert(*key, Layer::Building);
                true
            }
        }
    }
}

/// Has a layer made in the background, unless it is there or being made.
pub(crate) fn want(worker: &Arc<WorkerService>, key: LayerKey) {
    if !worker.layers.claim(&key) {
        return;
    }
    let weak = Arc::downgrade(worker);
    hearth_tasks::spawn_tracked(&worker.watchers, "layer snapshot", async move {
        let Some(worker) = weak.upgrade() else { return };
        let began = Instant::now();
        let layer = match worker.make_layer(key).await {
            Ok(snapshot) => {
                tracing::info!(?key, took_ms = began.elapsed().as_millis() as u64, "made a layer");
                Layer::Ready(Arc::new(snapshot))
            }
            Err(error) => {
                tracing::warn!(
                    ?key,
                    error = &error as &dyn std::error::Error,
                    "a layer could not be made, so sandboxes boot"
                );
                Layer::Failed(Instant::now())
            }
        };
        worker.layers.known.lock().insert(key, layer);
        worker.layers.changed.send_replace(());
    });
}

/// A layer, made now if it is not there. None if that cannot be done.
pub(crate) async fn made(worker: &Arc<WorkerService>, key: LayerKey) -> Option<Arc<Snapshot>> {
    want(worker, key);
    let mut known = worker.layers.changed.subscribe();
    loop {
        match worker.layers.known.lock().get(&key) {
            Some(Layer::Ready(snapshot)) => return Some(Arc::clone(snapshot)),
            Some(Layer::Building) => {}
            _ => return None,
        }
        // The sender lives as long as the worker.
        known.changed().await.ok()?;
    }
}

impl WorkerService {
    async fn make_layer(&self, key: LayerKey) -> Result<Snapshot, LayerError> {
        let _alone = self.layers.building.lock().await;
        let os = LayerKey { runtime: None, ..key };
        let below = match self.layers.get(&os) {
            Some(below) => below,
            None => {
                let made = Arc::new(self.capture_os(os).await?);
                self.layers.known.lock().insert(os, Layer::Ready(Arc::clone(&made)));
                made
            }
        };
        match key.runtime {
            None => Ok(Arc::unwrap_or_clone(below)),
            Some(runtime) => self.capture_runtime(key, runtime, &below).await,
        }
    }

    async fn capture_os(&self, key: LayerKey) -> Result<Snapshot, LayerError> {
        let memory = GuestMemory::empty(key.memory_mib).await.map_err(LayerError::Files)?;
        let _room = self.admission.admit(self.room_of(key)).ok_or(LayerError::NoRoom)?;
        let dir = Placeholders::new(&self.options.sandboxes_dir())?;
        let spec = self.layer_spec(key, memory.captured(), None, &dir);
        let vm = self.driver.create(spec).await?;
        let (vm, memory) = (vm, memory.opened());
        let mut channel = channel_of(vm.as_ref())?;
        dialogue::hello(&mut channel).await?;
        captured(vm.as_ref(), memory).await
    }

    async fn capture_runtime(
        &self,
        key: LayerKey,
        runtime: Runtime,
        below: &Snapshot,
    ) -> Result<Snapshot, LayerError> {
        let memory = below.copy_of_memory().await.map_err(LayerError::Files)?;
        let _room = self.admission.admit(self.room_of(key)).ok_or(LayerError::NoRoom)?;
        let dir = Placeholders::new(&self.options.sandboxes_dir())?;
        let spec = self.layer_spec(key, memory.captured(), Some(runtime), &dir);
        let prepared = self.driver.prepare(spec).await?;
        let memory = memory.opened();
        let vm = prepared.resume(below.state.clone()).await?;
        let mut channel = channel_of(vm.as_ref())?;
        dialogue::prepare(&mut channel, environment::before_function(runtime)).await?;
        captured(vm.as_ref(), memory).await
    }

    fn room_of(&self, key: LayerKey) -> Room {
        let own = Room { memory_bytes: u64::from(key.memory_mib) << 20, disk_bytes: 0 };
        own.plus(Room {
            memory_bytes: u64::from(self.options.vmm_overhead_mib) << 20,
            disk_bytes: 0,
        })
    }

    fn layer_spec(
        &self,
        key: LayerKey,
        memory: Memory,
        runtime: Option<Runtime>,
        placeholders: &Placeholders,
    ) -> VmSpec {
        let disk = |path: &Path| Disk { path: path.to_owned(), read_only: true };
        let layer = runtime.and_then(|runtime| self.images.runtime_layers.get(&runtime));
        VmSpec {
            id: SandboxId::new(),
            memory_mib: key.memory_mib,
            memory,
            vcpus: key.vcpus,
            kernel: self.images.kernel.path.clone(),
            initramfs: self.images.initramfs.path.clone(),
            disks: vec![
                disk(&self.images.os_layer.path),
                disk(layer.map_or(&placeholders.read_only, |layer| &layer.path)),
                disk(&placeholders.read_only),
                Disk { path: placeholders.writable.clone(), read_only: false },
            ],
            network: true,
        }
    }
}

/// Stops a guest for good and keeps what it was.
async fn captured(vm: &dyn Vm, memory: File) -> Result<Snapshot, LayerError> {
    let state = vm.capture().await;
    vm.kill().await;
    Ok(Snapshot { memory: Arc::new(memory), state: state? })
}

/// The stream to a new guest's agent.
pub(crate) fn channel_of(vm: &dyn Vm) -> Result<AgentChannel, DialogueError> {
    let stream = vm.take_agent_stream().ok_or(DialogueError::Agent("has no stream".into()))?;
    Ok(AgentChannel::new(stream).map_err(ChannelError::Io)?)
}

/// Empty files in the places of disks that are not known yet; removed on drop, when
/// the VMM has them open.
struct Placeholders {
    read_only: PathBuf,
    writable: PathBuf,
}

impl Placeholders {
    fn new(dir: &Path) -> Result<Self, LayerError> {
        let name = SandboxId::new();
        let made = Self {
            read_only: dir.join(format!("{name}.nothing")),
            writable: dir.join(format!("{name}.scratch")),
        };
        for path in [&made.read_only, &made.writable] {
            let sized = File::create(path).and_then(|file| file.set_len(PLACEHOLDER_BYTES));
            sized.map_err(LayerError::Files)?;
        }
        Ok(made)
    }
}

impl Drop for Placeholders {
    fn drop(&mut self) {
        for path in [&self.read_only, &self.writable] {
            if let Err(error) = std::fs::remove_file(path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove a placeholder");
            }
        }
    }
}
