//! This host's worker: its guest images, its driver, and what it gives to sandboxes.

use super::args::{HostArgs, Isolation as Wanted};
use super::data_dir::DataDir;
use super::host;
use super::stores::Stores;
use crate::commands::images::beside_this_program;
use anyhow::Context;
use hearth_chunk_store::ChunkStore;
use hearth_function_logs::LogStore;
use hearth_images::{GuestImages, HeldImages, ImageCache};
use hearth_snapshot_store::SnapshotStore;
use hearth_types::Runtime;
use hearth_vmm::{Isolation, IsolationChoice, VmDriver, VmmOptions};
use hearth_worker::{BLANKS_MAX, WorkerDeps, WorkerOptions, WorkerService};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Guest memory beyond the function's: kernel, agent, and page cache enough
/// for a runtime's files.
const GUEST_OVERHEAD_MIB: u32 = 96;
/// What a VMM may take on the host beyond its guest's memory: a clone, whose translation
/// cache may grow larger than that of a guest that booted.
const VMM_OVERHEAD_MIB: u32 = 68;
/// An emulated guest computes ten to thirty times slower than AWS's, so its
/// inits are given that much longer before they are held against a function.
const INIT_FREE_EMULATED: Duration = Duration::from_secs(10 * hearth_types::INIT_FREE_S);
/// The guest images that are current.
pub(crate) struct Images {
    cache: ImageCache,
    images: GuestImages,
    held: HeldImages,
}

/// A worker, and what it was made of.
pub(crate) struct OpenWorker {
    pub(crate) worker: Arc<WorkerService>,
    pub(crate) driver: Arc<dyn VmDriver>,
    /// The snapshots, where some can be taken.
    pub(crate) snapshots_taken: Option<SnapshotStore>,
    pub(crate) chunks: ChunkStore,
    pub(crate) _held_images: HeldImages,
}

impl Images {
    /// Finds them, and says which runtimes have none.
    pub(crate) fn open(host: &HostArgs) -> anyhow::Result<Self> {
        let cache = ImageCache::open(&host.image_cache).with_context(|| {
            format!("cannot open the image cache {}", host.image_cache.display())
        })?;
        // Without one of its own, images may have been built with one from elsewhere.
        let agent = beside_this_program().ok();
        let (images, held) = cache.load_for(agent.as_deref())?;
        for runtime in Runtime::ALL.iter().filter(|r| !images.runtime_layers.contains_key(r)) {
            tracing::warn!(
                "there is no current guest image of {runtime}, so its functions are refused: \
                 run `hearth images build`, and start anew"
            );
        }
        Ok(Self { cache, images, held })
    }

    /// What functions can be run with here.
    pub(crate) fn runtimes(&self) -> BTreeSet<Runtime> {
        self.images.runtime_layers.keys().copied().collect()
    }

    /// Opens the worker, clearing away what a crash left of an earlier one.
    pub(crate) fn open_worker(
        self,
        host: &HostArgs,
        data: &DataDir,
        memory_bytes: u64,
        stores: Stores,
        logs: Arc<LogStore>,
    ) -> anyhow::Result<OpenWorker> {
        let (driver, selection) = open_driver(host, data)?;
        tracing::info!(isolation = %selection.isolation, "{}", selection.reason);
        let Stores { snapshots, page_server } = stores;
        let chunks = snapshots.chunks().clone();
        let snapshots_taken = page_server.as_ref().map(|_| snapshots.clone());
        let options = WorkerOptions {
            dir: data.worker(),
            memory_bytes,
            disk_bytes: host.disk_limit.map(|mib| mib * 1024 * 1024),
            sandboxes_max: host.sandboxes_max,
            starts_max: host::starts_max(),
            init_free: init_free(selection.isolation),
            guest_overhead_mib: GUEST_OVERHEAD_MIB,
            vmm_overhead_mib: VMM_OVERHEAD_MIB,
        };
        let deps = WorkerDeps {
            driver: Arc::clone(&driver),
            images: self.images,
            image_cache: Arc::new(self.cache),
            logs,
            snapshots,
            page_server,
        };
        let worker =
            WorkerService::open(options, deps).context("cannot open the worker's directory")?;
        Ok(OpenWorker { worker, driver, snapshots_taken, chunks, _held_images: self.held })
    }
}

fn open_driver(
    host: &HostArgs,
    data: &DataDir,
) -> anyhow::Result<(Arc<dyn VmDriver>, hearth_vmm::Selection)> {
    let choice = match host.isolation {
        Wanted::Auto => IsolationChoice::Auto,
        Wanted::Firecracker => IsolationChoice::Firecracker,
        Wanted::Qemu => IsolationChoice::Qemu,
    };
    let options = VmmOptions {
        state_dir: data.root().to_owned(),
        // VMMs that wait for a guest have slots as well, those that are ended for others
        // too, and so has the guest that a layer is made of.
        slots_max: (host.sandboxes_max + 2 * BLANKS_MAX as u32 + 1).min(VmmOptions::SLOTS_MAX),
        allow_networks: host.allow_network.clone(),
    };
    Ok(hearth_vmm::open_driver(choice, &options)?)
}

fn init_free(isolation: Isolation) -> Duration {
    match isolation {
        Isolation::QemuTcg => INIT_FREE_EMULATED,
        Isolation::QemuKvm => Duration::from_secs(hearth_types::INIT_FREE_S),
    }
}
