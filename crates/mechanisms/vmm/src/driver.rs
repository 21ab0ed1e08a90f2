//! The driver contract: what the worker asks of a VMM, whichever it is.

use async_trait::async_trait;
use bytes::Bytes;
use hearth_types::SandboxId;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;

/// What separates a sandbox from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// QEMU on the processor's own virtualisation.
    QemuKvm,
    /// QEMU emulating the processor in software.
    QemuTcg,
}

impl Isolation {
    /// The word used in tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QemuKvm => "qemu-kvm",
            Self::QemuTcg => "qemu-tcg",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a guest's memory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memory {
    /// In pages of the VMM's own.
    Own,
    /// In this file, of exactly its size, which every user can read and write:
    /// what can be captured.
    Captured(PathBuf),
    /// As in this file, which every user can read; what the guest writes is its
    /// own. Two guests must not be given the same file, because they would share
    /// its pages in the host's cache.
    Cloned(PathBuf),
}

/// A microVM.
#[derive(Clone, Debug)]
pub struct VmSpec {
    /// The sandbox it is for; names it in errors and logs.
    pub id: SandboxId,
    /// Guest RAM, in MiB.
    pub memory_mib: u32,
    /// Where it is.
    pub memory: Memory,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// `vmlinux`, which a clone has booted already; must be readable by everyone, as
    /// the VMM runs under a uid of its own.
    pub kernel: PathBuf,
    /// Initial RAM file system; likewise.
    pub initramfs: PathBuf,
    /// Disks, in the guest's order: vda, vdb, … A clone has as many as the guest
    /// that was captured. One that it had not read by then may be another image, no
    /// larger than what was there.
    pub disks: Vec<Disk>,
    /// Whether it has a network device.
    pub network: bool,
}

/// A raw image that the guest sees as a virtio disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The image. Opened by Hearth and handed to the VMM as a descriptor, so
    /// its mode does not matter.
    pub path: PathBuf,
    /// Whether the guest may only read it.
    pub read_only: bool,
}

/// IPv4 settings of a guest's network device. The same in every guest, so that
/// clones of one snapshot are right wherever they wake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestNetwork {
    /// The guest's address.
    pub address: Ipv4Addr,
    /// Length of the network prefix.
    pub prefix_bits: u8,
    /// The way out.
    pub gateway: Ipv4Addr,
    /// Name servers that the guest can reach; empty when the host knows none.
    pub dns: Vec<Ipv4Addr>,
}

/// What a VMM process uses on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmStats {
    /// Resident memory of its own, in bytes, guest RAM included; not the pages
    /// of files (its program, the kernel image) that it maps as others do.
    pub memory_bytes: u64,
    /// CPU time since its start.
    pub cpu: Duration,
}

/// How a VMM ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmExit {
    /// The process's end.
    pub status: VmExitStatus,
    /// The last of what it wrote to stderr.
    pub stderr: String,
}

/// The end of a VMM process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmExitStatus {
    /// [`Vm::kill`], or the last handle's drop.
    Killed,
    /// The guest powered off or panicked, or the VMM gave up, with this code.
    Exited(i32),
    /// A signal that Hearth did not send; SIGKILL usually means that the
    /// sandbox outgrew its memory.
    Signalled(i32),
}

/// A microVM could not be had.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// All of them are in use.
    #[error("all {slots_max} sandbox slots are in use")]
    NoSlot {
        /// How many there are.
        slots_max: u32,
    },
    /// The driver is shutting down.
    #[error("the VM driver is shutting down")]
    ShuttingDown,
    /// A file that the VMM needs could not be opened.
    #[error("{} could not be opened", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that the VMM must read under its own uid is not readable by others.
    #[error("{} must be readable by every user (chmod a+r)", path.display())]
    NotReadable {
        /// Which.
        path: PathBuf,
    },
    /// Network for the sandbox could not be prepared.
    #[error("the sandbox's network could not be prepared: {0}")]
    Network(String),
    /// The sandbox's cgroup could not be set up.
    #[error("the sandbox's cgroup could not be set up")]
    Cgroup(#[source] io::Error),
    /// The process could not be started.
    #[error("the VMM could not be started")]
    Spawn(#[source] io::Error),
    /// A step of jailing the process failed.
    #[error("jailing the VMM failed at {step}")]
    Jail {
        /// Which.
        step: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The guest could not be captured.
    #[error("the guest could not be captured")]
    Capture(#[source] io::Error),
    /// The VMM started, and ended or fell silent before it was in service.
    #[error("the VMM did not come up: {reason}; it said: {stderr:?}")]
    NotUp {
        /// What was seen of it.
        reason: String,
        /// The last of its stderr.
        stderr: String,
    },
}

/// All of a captured microVM but its memory and disks: registers and devices.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceState(pub Bytes);

impl fmt::Debug for DeviceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It holds what the guest's registers held.
        write!(f, "DeviceState({} bytes)", self.0.len())
    }
}

/// Makes microVMs.
#[async_trait]
pub trait VmDriver: Send + Sync {
    /// What it isolates with.
    fn isolation(&self) -> Isolation;

    /// Names what a clone depends on besides its files: a guest that was captured
    /// under another name cannot be restored.
    fn machine(&self) -> &str;

    /// Starts a microVM; returns when its VMM is up and the guest is running.
    ///
    /// Cancel-safe: dropping the future kills what was started.
    async fn create(&self, spec: VmSpec) -> Result<Arc<dyn Vm>, VmError>;

    /// Starts a VMM that waits for the state of a captured guest. Its memory and
    /// disks are not looked at before that.
    ///
    /// Cancel-safe: dropping the future kills what was started.
    async fn prepare(&self, spec: VmSpec) -> Result<Box<dyn PreparedVm>, VmError>;

    /// Kills every microVM, waits until all of them are gone, and removes what
    /// the driver set up on the host. No microVM can be created after it.
    async fn shutdown(&self);
}

/// A VMM without a guest. Dropping it kills it.
#[async_trait]
pub trait PreparedVm: Send + Sync {
    /// Makes it a clone of the captured guest, which runs on from there.
    async fn resume(self: Box<Self>, state: DeviceState) -> Result<Arc<dyn Vm>, VmError>;

    /// Whether its process lives.
    fn is_alive(&self) -> bool;
}

/// One microVM. Dropping the last handle kills it.
#[async_trait]
pub trait Vm: Send + Sync {
    /// The VMM's process id on the host, for operators.
    fn pid(&self) -> u32;

    /// Its network settings, if it was given a network.
    fn network(&self) -> Option<GuestNetwork>;

    /// The byte stream to the agent; once.
    fn take_agent_stream(&self) -> Option<UnixStream>;

    /// Stops a guest whose memory is [`Memory::Captured`] for good and returns what
    /// is not in that file or on its disks.
    async fn capture(&self) -> Result<DeviceState, VmError>;

    /// Its weight among the microVMs of a busy host, in thousandths of a CPU; a
    /// new one weighs one CPU. What is idle it may use, up to one CPU per vCPU.
    fn weigh_cpu(&self, millis: u32) -> io::Result<()>;

    /// What it uses.
    async fn stats(&self) -> io::Result<VmStats>;

    /// Kills it and returns when all it held is released. Idempotent.
    async fn kill(&self);

    /// Waits for its end, after which all it held is released.
    async fn exited(&self) -> VmExit;
}
