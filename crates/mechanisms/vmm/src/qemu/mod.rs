//! The QEMU driver: `microvm` machines on KVM or under software emulation, one
//! jailed process each.

mod binary;
mod command;
mod qmp;
mod root;
mod vm;

pub use binary::QemuError;
pub use command::{Surroundings, Tap, boot as command_line};

use crate::cgroup::{self, Limits, Tree};
use crate::instance::{Instance, InstanceError};
use crate::jail::{self, Argv, Bind, Limit, Plan, Spawner, raise};
use crate::network::Network;
use crate::slots::{Slot, Slots};
use crate::{Isolation, Vm, VmDriver, VmError, VmSpec, VmmOptions};
use async_trait::async_trait;
use binary::Binary;
use parking_lot::Mutex;
use seccompiler::BpfProgram;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::RwLock;
use tokio::task::JoinHandle;
use vm::{Eyes, KillOnDrop, Process, QemuVm};

/// What a VMM may take of the host beyond its guest's RAM: its own memory and
/// translation cache (under 45 MiB), and room for the page cache of the images
/// it reads, which the kernel takes back when it is short.
const VMM_OVERHEAD_BYTES: u64 = 96 * 1024 * 1024;
/// CPU time for a VMM's own threads beside its virtual CPUs. Without it a busy
/// guest that does I/O would be stopped for the rest of each quota period.
const VMM_CPU_MILLIS: u32 = 250;
/// Threads of a VMM besides one per virtual CPU: main loop, RCU, disk workers.
const VMM_THREADS_MAX: u32 = 32;
/// Descriptors that a VMM may hold; it needs some 30.
const VMM_FDS_MAX: u64 = 256;
/// How long a VMM may take from its start to answering on its control socket.
const UP_WAIT_MAX: Duration = Duration::from_secs(20);

/// Makes microVMs with QEMU.
pub(crate) struct QemuDriver(Arc<Inner>);

struct Inner {
    isolation: Isolation,
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
        Ok(Self(Arc::new(Inner {
            isolation,
            root,
            tsc_khz: crate::host_tsc::khz(),
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
    async fn start(&self, spec: &VmSpec, slot: Slot) -> Result<QemuVm, VmError> {
        let spawn_failed = VmError::Spawn;
        let limits = Limits {
            memory_bytes: u64::from(spec.memory_mib) * 1024 * 1024 + VMM_OVERHEAD_BYTES,
            cpu_millis_max: spec.vcpus * 1000 + VMM_CPU_MILLIS,
            pids: VMM_THREADS_MAX + spec.vcpus,
        };
        let prepared = self.prepare(spec, &slot, &limits);
        let (plan, ours) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                slot.release().await;
                return Err(error);
            }
        };
        let child = match self.spawner.spawn(plan).await {
            Ok(child) => child,
            Err(error) => {
                slot.release().await;
                return Err(VmError::Spawn(error));
            }
        };
        let network = spec.network.then(|| self.network.guest());
        let eyes = match Eyes::open(&child, ours.stderr) {
            Ok(eyes) => eyes,
            Err(error) => {
                // Nobody would see its end: it goes with its slot's cgroup.
                slot.release().await;
                return Err(VmError::Spawn(error));
            }
        };
        let process = KillOnDrop(Process::watch(child, slot, eyes));
        self.remember(&process.0);
        jail::executed(ours.report).await?;
        let agent = stream(ours.agent).map_err(spawn_failed)?;
        let up = async {
            let mut qmp = qmp::Qmp::open(stream(ours.qmp)?).await?;
            match qmp.query_status().await?.running {
                true => Ok(qmp),
                false => Err(io::Error::other("the guest is not running")),
            }
        };
        let qmp = match tokio::time::timeout(UP_WAIT_MAX, up).await {
            Ok(Ok(qmp)) => qmp,
            Ok(Err(error)) => return Err(not_up(&process.0, error.to_string()).await),
            Err(_) => {
                let reason = format!("no answer within {UP_WAIT_MAX:?}");
                return Err(not_up(&process.0, reason).await);
            }
        };
        Ok(QemuVm { process, network, agent: Mutex::new(Some(agent)), _qmp: qmp })
    }

    fn prepare(
        &self,
        spec: &VmSpec,
        slot: &Slot,
        limits: &Limits,
    ) -> Result<(Plan, Ours), VmError> {
        let failed = VmError::Spawn;
        slot.group().limit(limits).map_err(VmError::Cgroup)?;
        let (agent, agent_theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
        let (qmp, qmp_theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
        let (stderr, stderr_theirs) = io::pipe().map_err(failed)?;
        let (report, report_theirs) = io::pipe().map_err(failed)?;
        let null = File::options().read(true).write(true).open("/dev/null").map_err(failed)?;

        let mut descriptors = vec![];
        let mut give = |fd: &dyn AsFd| -> Result<usize, VmError> {
            descriptors.push(raise(fd.as_fd()).map_err(failed)?);
            Ok(descriptors.len() - 1)
        };
        for fd in [&null as &dyn AsFd, &null, &stderr_theirs] {
            give(fd)?;
        }
        let (agent_fd, qmp_fd) = (give(&agent_theirs)?, give(&qmp_theirs)?);
        let tap = match spec.network {
            true => Some(Tap { fd: give(slot.network().tap())?, mtu: self.network.mtu() }),
            false => None,
        };
        let kvm = match self.isolation {
            Isolation::QemuKvm => Some(give(&open(Path::new("/dev/kvm"), true)?)?),
            Isolation::QemuTcg => None,
        };
        let mut disks = vec![];
        for disk in &spec.disks {
            let mut fds = vec![give(&open(&disk.path, false)?)?];
            if !disk.read_only {
                // QEMU opens it for reading first, and then again for writing.
                fds.push(give(&open(&disk.path, true)?)?);
            }
            disks.push(fds);
        }
        let around = Surroundings {
            program: root::PROGRAM.into(),
            firmware_dir: root::FIRMWARE_DIR.into(),
            kernel: root::KERNEL.into(),
            initramfs: root::INITRAMFS.into(),
            agent: agent_fd,
            qmp: qmp_fd,
            tap,
            kvm,
            disks,
        };
        let argv = command::boot(spec, self.isolation, self.tsc_khz, &around);

        let plan = Plan {
            executable: c_string(Path::new(root::PROGRAM)).map_err(failed)?,
            argv: Argv::new(argv).map_err(failed)?,
            cgroup_procs: slot.group().procs().map_err(VmError::Cgroup)?,
            netns: slot.network().netns().try_clone_to_owned().map_err(failed)?,
            root: c_string(&self.root).map_err(failed)?,
            binds: vec![
                self.bind(&spec.kernel, root::KERNEL)?,
                self.bind(&spec.initramfs, root::INITRAMFS)?,
            ],
            descriptors,
            limits: resource_limits(spec, limits.pids)?,
            uid: slot.uid(),
            filters: self.filters.clone(),
            report: raise(&report_theirs).map_err(failed)?,
        };
        let ours = Ours { agent, qmp, stderr: stderr.into(), report: report.into() };
        Ok((plan, ours))
    }

    fn bind(&self, file: &Path, name: &str) -> Result<Bind, VmError> {
        let failed = |source| VmError::File { path: file.to_owned(), source };
        let meta = std::fs::metadata(file).map_err(failed)?;
        if meta.permissions().mode() & 0o004 == 0 {
            return Err(VmError::NotReadable { path: file.to_owned() });
        }
        Ok(Bind {
            source: c_string(file).map_err(failed)?,
            target: c_string(&root::inside(&self.root, Path::new(name))).map_err(failed)?,
        })
    }

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

    async fn create(&self, spec: VmSpec) -> Result<Arc<dyn Vm>, VmError> {
        let driver = self.0.clone();
        // A task of its own, so that a start whose caller has gone still comes
        // to an orderly end: the microVM that nobody takes is killed.
        let started = hearth_tasks::spawn("microVM start", async move {
            let open = driver.open.read().await;
            if !*open {
                return Err(VmError::ShuttingDown);
            }
            let slot = driver.slots.take().await?;
            driver.start(&spec, slot).await
        });
        let vm = started.await.map_err(|panic| VmError::Spawn(io::Error::other(panic)))??;
        Ok(Arc::new(vm))
    }

    async fn shutdown(&self) {
        self.0.shutdown().await;
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

/// The host's ends of what a VMM is connected to.
struct Ours {
    agent: std::os::unix::net::UnixStream,
    qmp: std::os::unix::net::UnixStream,
    stderr: OwnedFd,
    report: OwnedFd,
}

async fn not_up(process: &Process, reason: String) -> VmError {
    process.signal_kill();
    VmError::NotUp { reason, stderr: process.exited().await.stderr }
}

fn stream(ours: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
    ours.set_nonblocking(true)?;
    UnixStream::from_std(ours)
}

fn open(path: &Path, write: bool) -> Result<File, VmError> {
    OpenOptions::new()
        .read(true)
        .write(write)
        .open(path)
        .map_err(|source| VmError::File { path: path.to_owned(), source })
}

fn c_string(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn resource_limits(spec: &VmSpec, processes: u32) -> Result<Vec<Limit>, VmError> {
    let mut largest_writable = 0;
    for disk in spec.disks.iter().filter(|disk| !disk.read_only) {
        let failed = |source| VmError::File { path: disk.path.clone(), source };
        largest_writable =
            std::fs::metadata(&disk.path).map_err(failed)?.len().max(largest_writable);
    }
    Ok(vec![
        Limit { resource: libc::RLIMIT_CORE, value: 0 },
        Limit { resource: libc::RLIMIT_FSIZE, value: largest_writable },
        Limit { resource: libc::RLIMIT_MEMLOCK, value: 0 },
        Limit { resource: libc::RLIMIT_NOFILE, value: VMM_FDS_MAX },
        Limit { resource: libc::RLIMIT_NPROC, value: processes.into() },
    ])
}
