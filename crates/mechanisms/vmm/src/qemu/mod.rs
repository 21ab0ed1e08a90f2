//! The QEMU driver: `microvm` machines on KVM or under software emulation, one
//! jailed process each.

mod binary;
mod command;
mod launch;
mod prepared;
mod qmp;
mod root;
mod state_file;
mod vm;

pub use binary::QemuError;
pub use command::{Origin, Surroundings, Tap, line as command_line};

use crate::cgroup::{self, Tree};
use crate::instance::{Instance, InstanceError};
use crate::jail::{self, Spawner};
use crate::network::Network;
use crate::slots::Slots;
use crate::{Isolation, PreparedVm, Vm, VmDriver, VmError, VmSpec, VmmOptions};
use async_trait::async_trait;
use binary::Binary;
use launch::{Launched, Purpose};
use parking_lot::Mutex;
use prepared::PreparedQemu;
use seccompiler::BpfProgram;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use tokio::sync::RwLock;
use tokio::task::JoinHandle;
use vm::{Process, QemuVm};

/// Changes whenever a guest that was captured by an earlier driver could not be
/// restored by this one: with the devices on the command line, and their order.
const MACHINE_FORM: &str = "1";

/// Makes microVMs with QEMU.
pub(crate) struct QemuDriver(Arc<Inner>);

struct Inner {
    isolation: Isolation,
    machine: String,
    root: PathBuf,
    tsc_khz: u64,
    filters: Arc<[BpfProgram]>,
    spawner: Spawner,
    slots: Slots,
    network: Arc<Network>,
    /// Keeps the network's rules up to date, until shut down.
    follower: Mutex<Option<JoinHandle<()>>>,
    tree: Tree,
    running: Mutex<Vec<Weak<Process>>>,
    /// Held for reading by every start; false once shut down.
    open: RwLock<bool>,
    instance: Instance,
}

impl QemuDriver {
    /// Prepares everything that does not depend on a guest. Blocks; needs a
    /// tokio runtime.
    pub(crate) fn open(
        isolation: Isolation,
        qemu: &Qemu,
        instance: Instance,
        options: &VmmOptions,
    ) -> Result<Self, crate::OpenError> {
        let root = root::prepare(&qemu.binary, &instance.dir().join("roots"))?;
        let filters = jail::seccomp::filters()?;
        let tree = Tree::locate(instance.id())?;
        let roots: Vec<_> = tree.roots().iter().map(|root| root.display().to_string()).collect();
        instance.traces().cgroups().write(&roots).map_err(InstanceError::Traces)?;
        tree.create()?;
        let network = Arc::new(Network::open(&instance, &options.allow_networks)?);
        let slots = Slots::start(tree.clone(), network.clone(), options.slots_max);
        let tsc_khz = crate::host_tsc::kept_khz(instance.dir())
            .map_err(|source| InstanceError::Dir { path: instance.dir().to_owned(), source })?;
        let version = qemu.version();
        Ok(Self(Arc::new(Inner {
            isolation,
            machine: format!("{isolation} {version} {tsc_khz} {} {MACHINE_FORM}", network.mtu()),
            root,
            tsc_khz,
            filters,
            spawner: Spawner::start().map_err(crate::OpenError::Thread)?,
            slots,
            follower: Mutex::new(Some(hearth_tasks::spawn(
                "host networks",
                network.clone().follow_host(),
            ))),
            network,
            tree,
            running: Mutex::default(),
            open: RwLock::new(true),
            instance,
        })))
    }
}

impl Inner {
    fn remember(&self, process: &Arc<Process>) {
        let mut running = self.running.lock();
        running.retain(|process| process.strong_count() > 0);
        running.push(Arc::downgrade(process));
    }
}

#[async_trait]
impl VmDriver for QemuDriver {
    fn isolation(&self) -> Isolation {
        self.0.isolation
    }

    fn machine(&self) -> &str {
        &self.0.machine
    }

    async fn create(&self, spec: VmSpec) -> Result<Arc<dyn Vm>, VmError> {
        Ok(Arc::new(QemuVm::running(self.launch(spec, Purpose::Boot).await?)))
    }

    async fn prepare(&self, spec: VmSpec) -> Result<Box<dyn PreparedVm>, VmError> {
        Ok(Box::new(PreparedQemu(self.launch(spec, Purpose::Restore).await?)))
    }

    async fn shutdown(&self) {
        self.0.shutdown().await;
    }
}

impl QemuDriver {
    async fn launch(&self, spec: VmSpec, purpose: Purpose) -> Result<Launched, VmError> {
        let driver = self.0.clone();
        // A task of its own, so that a start whose caller has gone still comes
        // to an orderly end: the microVM that nobody takes is killed.
        let started = hearth_tasks::spawn("microVM start", async move {
            let open = driver.open.read().await;
            if !*open {
                return Err(VmError::ShuttingDown);
            }
            let slot = driver.slots.take().await?;
            driver.start(&spec, slot, purpose).await
        });
        started.await.map_err(|panic| VmError::Spawn(io::Error::other(panic)))?
    }
}

impl Inner {
    async fn shutdown(&self) {
        // Waits for the starts under way.
        *self.open.write().await = false;
        let running: Vec<_> = self.running.lock().drain(..).filter_map(|p| p.upgrade()).collect();
        for process in &running {
            process.signal_kill();
        }
        for process in &running {
            process.exited().await;
        }
        self.slots.drain().await;
        let tree = self.tree.clone();
        let removed = tokio::task::spawn_blocking(move || cgroup::destroy(tree.roots())).await;
        match &removed {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "the cgroups could not be removed"),
            Err(error) => tracing::error!(%error, "removing the cgroups failed"),
        }
        let follower = self.follower.lock().take();
        if let Some(follower) = follower {
            follower.abort();
            // Cut short, or it panicked, which was logged: over in any case.
            let _over = follower.await;
        }
        // What could not be removed now, a later start finds by its traces.
        if self.network.close()
            && matches!(removed, Ok(Ok(_)))
            && let Err(error) = self.instance.traces().forget()
        {
            tracing::error!(%error, "the traces on this host could not be removed");
        }
    }
}

/// The host's QEMU, found fit.
pub(crate) struct Qemu {
    binary: Binary,
}

impl Qemu {
    pub(crate) fn find() -> Result<Self, QemuError> {
        Ok(Self { binary: Binary::find()? })
    }

    pub(crate) fn version(&self) -> &str {
        &self.binary.version
    }
}

/// The version of the host's QEMU, if a driver could use it.
pub fn qemu_version() -> Result<String, QemuError> {
    Ok(Qemu::find()?.binary.version)
}
