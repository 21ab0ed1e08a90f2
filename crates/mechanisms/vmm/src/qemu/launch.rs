//! Starts a VMM: what it is given, the jail around it, and the wait until it is up.

use super::command::{self, Origin, Surroundings, Tap};
use super::qmp::Qmp;
use super::state_file::{STATE_BYTES_MAX, StateFile};
use super::vm::{Eyes, KillOnDrop, Process};
use super::{Inner, root};
use crate::cgroup::Limits;
use crate::jail::{self, Argv, Bind, Limit, Plan, raise};
use crate::slots::Slot;
use crate::{GuestNetwork, Isolation, Memory, VmError, VmSpec};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;

/// What a VMM may take of the host beyond its guest's RAM: its own memory and
/// translation cache (45 MiB, a clone's up to 68), and room for the page cache of the images
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

/// What a VMM is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To boot a guest at once.
    Boot,
    /// To wait for a captured one.
    Restore,
}

/// A file through which the state of devices passes, and the set of descriptors
/// that the VMM knows it as.
pub(super) struct Transfer {
    pub(super) file: StateFile,
    pub(super) set: usize,
}

/// A VMM that is up.
pub(super) struct Launched {
    pub(super) process: KillOnDrop,
    pub(super) network: Option<GuestNetwork>,
    pub(super) agent: UnixStream,
    pub(super) qmp: Qmp,
    /// Where it takes a captured guest from.
    pub(super) incoming: Option<Transfer>,
    /// Where it leaves its guest, if that can be captured.
    pub(super) capture: Option<Transfer>,
}

impl Inner {
    /// Starts a VMM in a slot, and waits until it is up.
    pub(super) async fn start(
        &self,
        spec: &VmSpec,
        slot: Slot,
        purpose: Purpose,
    ) -> Result<Launched, VmError> {
        let spawn_failed = VmError::Spawn;
        let limits = Limits {
            memory_bytes: u64::from(spec.memory_mib) * 1024 * 1024 + VMM_OVERHEAD_BYTES,
            cpu_millis_max: spec.vcpus * 1000 + VMM_CPU_MILLIS,
            pids: VMM_THREADS_MAX + spec.vcpus,
        };
        let prepared = self.plan(spec, &slot, &limits, purpose);
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
            let mut qmp = Qmp::open(stream(ours.qmp)?).await?;
            if spec.memory != Memory::Own {
                qmp.leave_memory_out().await?;
            }
            match qmp.query_status().await?.running == (purpose == Purpose::Boot) {
                true => Ok(qmp),
                false => Err(io::Error::other("the guest is not as it should be")),
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
        Ok(Launched {
            process,
            network,
            agent,
            qmp,
            incoming: ours.incoming,
            capture: ours.capture,
        })
    }

    fn plan(
        &self,
        spec: &VmSpec,
        slot: &Slot,
        limits: &Limits,
        purpose: Purpose,
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
        let mut binds = vec![];
        let mut incoming = None;
        let origin = match purpose {
            Purpose::Boot => {
                binds.push(self.bind(&spec.kernel, root::KERNEL, false)?);
                binds.push(self.bind(&spec.initramfs, root::INITRAMFS, false)?);
                Origin::Boot { kernel: root::KERNEL.into(), initramfs: root::INITRAMFS.into() }
            }
            Purpose::Restore => {
                let file = StateFile::create().map_err(failed)?;
                let fd = give(&file.reader().map_err(failed)?)?;
                incoming = Some(Transfer { file, set: fd });
                Origin::Captured { state: fd }
            }
        };
        let mut capture = None;
        match &spec.memory {
            Memory::Own => {}
            Memory::Cloned(file) => binds.push(self.bind(file, root::MEMORY, false)?),
            Memory::Captured(file) => {
                binds.push(self.bind(file, root::MEMORY, true)?);
                let file = StateFile::create().map_err(failed)?;
                let set = give(&file.writer().map_err(failed)?)?;
                capture = Some(Transfer { file, set });
            }
        }
        let around = Surroundings {
            program: root::PROGRAM.into(),
            firmware_dir: root::FIRMWARE_DIR.into(),
            origin,
            memory: root::MEMORY.into(),
            state: capture.as_ref().map(|capture| capture.set),
            agent: agent_fd,
            qmp: qmp_fd,
            tap,
            kvm,
            disks,
        };
        let argv = command::line(spec, self.isolation, self.tsc_khz, &around);

        let plan = Plan {
            executable: c_string(Path::new(root::PROGRAM)).map_err(failed)?,
            argv: Argv::new(argv).map_err(failed)?,
            cgroup_procs: slot.group().procs().map_err(VmError::Cgroup)?,
            netns: slot.network().netns().try_clone_to_owned().map_err(failed)?,
            root: c_string(&self.root).map_err(failed)?,
            binds,
            descriptors,
            limits: resource_limits(spec, limits.pids)?,
            uid: slot.uid(),
            filters: self.filters.clone(),
            report: raise(&report_theirs).map_err(failed)?,
        };
        let (stderr, report) = (stderr.into(), report.into());
        let ours = Ours { agent, qmp, stderr, report, incoming, capture };
        Ok((plan, ours))
    }

    fn bind(&self, file: &Path, name: &str, writable: bool) -> Result<Bind, VmError> {
        let failed = |source| VmError::File { path: file.to_owned(), source };
        let meta = std::fs::metadata(file).map_err(failed)?;
        if meta.permissions().mode() & 0o004 == 0 {
            return Err(VmError::NotReadable { path: file.to_owned() });
        }
        Ok(Bind {
            writable,
            source: c_string(file).map_err(failed)?,
            target: c_string(&root::inside(&self.root, Path::new(name))).map_err(failed)?,
        })
    }
}

/// The host's ends of what a VMM is connected to.
struct Ours {
    agent: std::os::unix::net::UnixStream,
    qmp: std::os::unix::net::UnixStream,
    stderr: OwnedFd,
    report: OwnedFd,
    incoming: Option<Transfer>,
    capture: Option<Transfer>,
}

pub(super) async fn not_up(process: &Process, reason: String) -> VmError {
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
    // The state of devices, when the guest is captured, is a file too.
    let mut largest_writable = match spec.memory {
        Memory::Captured(_) => STATE_BYTES_MAX,
        Memory::Own | Memory::Cloned(_) => 0,
    };
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
