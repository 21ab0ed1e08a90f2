//! The worker role: admits, creates, runs and kills sandboxes on one host.
#![forbid(unsafe_code)]

mod admission;
mod assembler;
mod blank;
mod capture;
mod channel;
mod code;
mod create;
mod creating;
mod damage;
mod demand;
mod dialogue;
mod disk;
mod environment;
mod failure;
mod fences;
mod guest_files;
mod holding;
mod invoke;
mod layers;
mod learning;
mod making;
mod metrics;
mod newcomers;
mod outcomes;
mod pool;
mod report;
mod sandbox;
mod shape;
mod snap_start;
mod snapshot;
mod snapshot_metrics;
mod status;
mod tail;
mod upkeep;

pub use metrics::register_metrics;
pub use pool::BLANKS_MAX;
pub use upkeep::{SpaceCollected, UpkeepError};

use admission::{Admission, Capacity};
use async_trait::async_trait;
use guest_files::PageServers;
use hearth_function_logs::LogStore;
use hearth_images::{GuestImages, ImageCache};
pub use hearth_page_server::{StartOptions as PageServerOptions, Waits as PageServerWaits};
use hearth_services::worker::{
    CreateError, Created, HeldSandbox, Invocation, InvokeError, InvokeResult, Invoked,
    SandboxesError, Worker, WorkerDirectory, WorkerStatus,
};
use hearth_snapshot_store::SnapshotStore;
use hearth_types::{FunctionVersion, Reign, Room, SandboxId, StartKind, WorkerId};
use hearth_vmm::VmDriver;
use parking_lot::Mutex;
use sandbox::Sandbox;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Between two looks at whether events still run.
const DRAIN_PAUSE: Duration = Duration::from_millis(20);

/// How a worker behaves.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Directory of its own; what an earlier process left in it is removed.
    pub dir: PathBuf,
    /// Host memory for sandboxes, in bytes.
    pub memory_bytes: u64,
    /// Disk for sandboxes' scratch disks, in bytes; else a share of what is free
    /// under `dir` at the start.
    pub disk_bytes: Option<u64>,
    /// Most sandboxes at once.
    pub sandboxes_max: u32,
    /// Sandboxes that may be starting at once; more wait, in the `queue` stage.
    pub starts_max: usize,
    /// How long an init may take before it counts as the first invoke's time.
    pub init_free: Duration,
    /// Guest memory beyond the function's own: kernel, agent, page cache.
    pub guest_overhead_mib: u32,
    /// Host memory of a VMM beyond its guest's.
    pub vmm_overhead_mib: u32,
}

impl WorkerOptions {
    /// What each sandbox is promised beyond its function's own.
    fn overhead(&self) -> Room {
        let mib = self.guest_overhead_mib + self.vmm_overhead_mib;
        Room { memory_bytes: u64::from(mib) * 1024 * 1024, disk_bytes: 0 }
    }

    /// Room for sandboxes, given a directory that holds none yet.
    fn capacity(&self) -> std::io::Result<Capacity> {
        let disk_bytes = match self.disk_bytes {
            Some(bytes) => bytes,
            None => disk::for_sandboxes(&self.dir)?,
        };
        let room = Room { memory_bytes: self.memory_bytes, disk_bytes };
        Ok(Capacity { room, sandboxes: self.sandboxes_max })
    }

    fn sandboxes_dir(&self) -> PathBuf {
        self.dir.join("sandboxes")
    }
}

/// What a worker works with.
pub struct WorkerDeps {
    /// Starts microVMs.
    pub driver: Arc<dyn VmDriver>,
    /// What they boot.
    pub images: GuestImages,
    /// Where scratch disks' templates are kept.
    pub image_cache: Arc<ImageCache>,
    /// Where functions' output goes.
    pub logs: Arc<LogStore>,
    /// Where snapshots are kept and, in its chunks, functions' images.
    pub snapshots: SnapshotStore,
    /// How to start the process that serves the pages of both; it reads the same store.
    /// None on a host that cannot serve them: there every sandbox boots, from a copy of
    /// its image.
    pub page_server: Option<PageServerOptions>,
}

/// Snapshots, and who serves their pages.
pub(crate) struct Serving {
    pub(crate) snapshots: SnapshotStore,
    pub(crate) servers: PageServers,
}

/// The service.
pub struct WorkerService {
    id: WorkerId,
    options: WorkerOptions,
    driver: Arc<dyn VmDriver>,
    images: GuestImages,
    image_cache: Arc<ImageCache>,
    snapshots: SnapshotStore,
    logs: Arc<LogStore>,
    admission: Arc<Admission>,
    /// Processors of this host.
    cpus: u32,
    fences: fences::Fences,
    outcomes: outcomes::Counts,
    creating: creating::Creating,
    starts: Semaphore,
    layers: layers::Layers,
    serving: Option<Serving>,
    open_snapshots: snapshot::OpenSnapshots,
    learning: learning::Learning,
    damage: damage::Damage,
    pool: pool::Pool,
    /// What the pool's refills wait for.
    newcomers: newcomers::Newcomers,
    /// Ends the making of guests that serve nobody yet.
    stopping: CancellationToken,
    /// Counts page servers that died.
    page_server_deaths: AtomicU64,
    sandboxes: Mutex<HashMap<SandboxId, Arc<Sandbox>>>,
    /// One task a sandbox, that notices when its VMM ends.
    watchers: TaskTracker,
}

impl WorkerService {
    /// Opens the worker's directory, removing what an earlier life left there.
    pub fn open(options: WorkerOptions, deps: WorkerDeps) -> std::io::Result<Arc<Self>> {
        let sandboxes_dir = options.sandboxes_dir();
        if sandboxes_dir.exists() {
            std::fs::remove_dir_all(&sandboxes_dir)?;
        }
        std::fs::create_dir_all(&sandboxes_dir)?;
        capture::remove_strays()?;
        Ok(Arc::new(Self {
            id: WorkerId::new(),
            driver: deps.driver,
            images: deps.images,
            image_cache: deps.image_cache,
            logs: deps.logs,
            admission: Admission::new(options.capacity()?),
            cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
            fences: fences::Fences::default(),
            outcomes: outcomes::Counts::default(),
            creating: creating::Creating::default(),
            starts: Semaphore::new(options.starts_max),
            layers: layers::Layers::default(),
            serving: deps.page_server.map(|options| Serving {
                snapshots: deps.snapshots.clone(),
                servers: PageServers::new(options),
            }),
            snapshots: deps.snapshots,
            open_snapshots: snapshot::OpenSnapshots::default(),
            learning: learning::Learning::default(),
            damage: damage::Damage::default(),
            pool: pool::Pool::beside(options.memory_bytes),
            newcomers: newcomers::Newcomers::default(),
            stopping: CancellationToken::new(),
            page_server_deaths: AtomicU64::new(0),
            sandboxes: Mutex::default(),
            watchers: TaskTracker::new(),
            options,
        }))
    }

    /// Which worker this is, in this life.
    pub fn id(&self) -> WorkerId {
        self.id
    }

    /// Waits until no sandbox runs an event, at most for `grace`. New sandboxes are refused
    /// from now on.
    pub async fn drain(&self, grace: Duration) {
        self.starts.close();
        let busy = || self.sandboxes.lock().values().any(|sandbox| sandbox.holding.now().1);
        let began = Instant::now();
        while busy() && began.elapsed() < grace {
            tokio::time::sleep(DRAIN_PAUSE).await;
        }
    }

    /// Refuses new sandboxes, kills those that live, and waits until all they
    /// held is given back.
    pub async fn shutdown(&self) {
        self.starts.close();
        self.stopping.cancel();
        loop {
            let living: Vec<SandboxId> = self.sandboxes.lock().keys().copied().collect();
            if living.is_empty() {
                break;
            }
            for id in living {
                self.kill(id).await;
            }
        }
        self.pool.clear().await;
        if let Some(serving) = &self.serving {
            serving.servers.shutdown().await;
        }
        self.watchers.close();
        self.watchers.wait().await;
    }

    /// Which page server new files are of.
    fn page_server_generation(&self) -> u64 {
        self.page_server_deaths.load(Ordering::SeqCst)
    }

    /// Kills the sandboxes whose files a dead page server served. What they were
    /// running fails now instead of at the next page that they lack.
    async fn retire_page_server(&self, generation: u64) {
        self.page_server_deaths.store(generation + 1, Ordering::SeqCst);
        let of_it: Vec<SandboxId> = {
            let sandboxes = self.sandboxes.lock();
            let of_it = sandboxes.values().filter(|s| s.resources.generation == Some(generation));
            of_it.map(|sandbox| sandbox.id).collect()
        };
        for id in of_it {
            self.kill(id).await;
        }
        self.pool.clear().await;
    }

    fn take(&self, id: SandboxId) -> Option<Arc<Sandbox>> {
        self.sandboxes.lock().remove(&id)
    }
}

/// Cleans up after a sandbox whose VMM ends by itself.
fn watch_exit(worker: &Arc<WorkerService>, sandbox: &Arc<Sandbox>) {
    let (vm, id) = (Arc::clone(&sandbox.resources.vm), sandbox.id);
    let weak = Arc::downgrade(worker);
    hearth_tasks::spawn_tracked(&worker.watchers, "sandbox watch", async move {
        let exit = vm.exited().await;
        let Some(worker) = weak.upgrade() else { return };
        if let Some(sandbox) = worker.take(id) {
            tracing::warn!(sandbox = %id, ?exit, "a microVM ended by itself");
            metrics::lost();
            worker.outcomes.lost(&exit);
            damage::suspect_origin(&worker, &sandbox);
            sandbox.resources.release().await;
        }
    });
}

/// A worker as its directory's only one: what one process offers.
pub struct LocalWorker(pub Arc<WorkerService>);

#[async_trait]
impl Worker for LocalWorker {
    async fn create(
        &self,
        id: SandboxId,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
        reign: Reign,
    ) -> Result<Created, CreateError> {
        self.0.fences.pass(reign)?;
        // Ends after it is among the sandboxes, so that it is in one of the two at any time.
        let creation = self.0.creating.begin(id, reign.partition, &version.key);
        let creation = creation.filter(|_| !self.0.sandboxes.lock().contains_key(&id));
        // Ordered twice, since an answer was lost: the first goes on, and is nobody's.
        let Some(creation) = creation else { return Err(CreateError::NoCapacity) };
        let began = Instant::now();
        let made =
            create::sandbox(&self.0, id, version, quickest, reign.partition, &creation).await;
        metrics::created(&made, began.elapsed());
        let (sandbox, created) = made?;
        snapshot_metrics::started(created.start);
        self.0.sandboxes.lock().insert(id, Arc::clone(&sandbox));
        watch_exit(&self.0, &sandbox);
        if self.0.starts.is_closed() {
            // Shutdown may have looked before this one was in the table.
            self.0.kill(id).await;
            return Err(CreateError::ShuttingDown);
        }
        Ok(created)
    }

    async fn invoke(&self, id: SandboxId, event: Invocation) -> Result<Invoked, InvokeError> {
        let sandbox = self.0.sandboxes.lock().get(&id).cloned().ok_or(InvokeError::Gone)?;
        let Some(_running) = sandbox.holding.begin(event.hold) else {
            tracing::warn!(sandbox = %id, "an event came for a sandbox that is another's");
            return Err(InvokeError::Gone);
        };
        // After it began: a leader that was told before that the sandbox is idle, and gave
        // it away, is one that the fence knows of.
        let reign = event.hold.reign;
        if reign.partition != sandbox.partition || !self.0.fences.is_current(reign) {
            return Err(InvokeError::Gone);
        }
        let invoked = sandbox.invoke(event).await;
        if let Ok(Invoked { result: InvokeResult::SandboxFailed(_), .. }) = &invoked {
            // Whoever called says so too, if they live to.
            sandbox.holding.spend();
        }
        sandbox.newcomer.lock().take();
        if sandbox.is_lost.load(Ordering::Relaxed) {
            // Its end is somebody's here to bring about, before it is noticed elsewhere.
            damage::suspect_origin(&self.0, &sandbox);
        }
        if let Some(recording) = sandbox.recording.lock().take() {
            learning::learn(&self.0, &sandbox, recording);
        }
        invoked
    }

    async fn kill(&self, id: SandboxId, reign: Reign) {
        if self.0.fences.pass(reign).is_ok() {
            self.0.kill(id).await;
        }
    }

    async fn sandboxes(&self, reign: Reign) -> Result<Vec<HeldSandbox>, SandboxesError> {
        self.0.fences.pass(reign)?;
        let mut held = self.0.creating.of(reign.partition);
        let sandboxes = self.0.sandboxes.lock();
        // One that was just created is told once, as what it is now.
        held.retain(|creating| !sandboxes.contains_key(&creating.id));
        let of_it = sandboxes.values().filter(|s| s.partition == reign.partition);
        held.extend(of_it.map(|sandbox| sandbox.held()));
        Ok(held)
    }

    async fn status(&self) -> Option<WorkerStatus> {
        Some(self.0.status())
    }
}

impl WorkerService {
    async fn kill(&self, id: SandboxId) {
        if let Some(sandbox) = self.take(id) {
            sandbox.resources.release().await;
        }
    }
}

impl WorkerDirectory for LocalWorker {
    fn worker(&self, id: &WorkerId) -> Option<Arc<dyn Worker>> {
        (*id == self.0.id).then(|| Arc::new(LocalWorker(Arc::clone(&self.0))) as Arc<dyn Worker>)
    }

    fn all(&self) -> Vec<(WorkerId, Arc<dyn Worker>)> {
        vec![(self.0.id, Arc::new(LocalWorker(Arc::clone(&self.0))))]
    }
}

#[cfg(test)]
mod tests;
