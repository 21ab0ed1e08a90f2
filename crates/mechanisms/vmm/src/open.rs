//! Choosing and opening a driver.

use crate::cgroup::CgroupError;
use crate::instance::{BLOCK_SLOTS, Instance, InstanceError};
use crate::kvm_probe;
use crate::network::{Cidr, NetworkError};
use crate::qemu::{Qemu, QemuDriver, QemuError};
use crate::{Isolation, VmDriver};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// What the operator asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IsolationChoice {
    /// The strongest that the host can run.
    #[default]
    Auto,
    /// Firecracker on KVM.
    Firecracker,
    /// QEMU, on KVM or under emulation.
    Qemu,
}

/// Settings of a driver.
#[derive(Clone, Debug)]
pub struct VmmOptions {
    /// Hearth's state directory; the driver keeps to `vmm/` below it.
    pub state_dir: PathBuf,
    /// Most microVMs at once, at most [`VmmOptions::SLOTS_MAX`].
    pub slots_max: u32,
    /// Private networks, or networks that the host stands in, that sandboxes
    /// may talk to.
    pub allow_networks: Vec<Cidr>,
}

impl VmmOptions {
    /// Bound of `slots_max`.
    pub const SLOTS_MAX: u32 = BLOCK_SLOTS;
}

/// Which driver was chosen.
#[derive(Clone, Debug)]
pub struct Selection {
    /// What it isolates with.
    pub isolation: Isolation,
    /// Which and why, in a sentence for the operator.
    pub reason: String,
}

/// No driver could be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not root.
    #[error(
        "hearth must run as root to isolate microVMs (namespaces, cgroups, network); \
         start it with sudo"
    )]
    NotRoot,
    /// The driver asked for is not part of this build.
    #[error("firecracker isolation is not available in this version; use qemu or auto")]
    NoFirecracker,
    /// More slots than an instance can have.
    #[error("{asked} sandboxes at once are too many; {BLOCK_SLOTS} is the most")]
    TooManySlots {
        /// What was asked for.
        asked: u32,
    },
    /// The state directory cannot be had.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// QEMU cannot be used.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// Sandboxes could not be limited.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Sandboxes could not be given a network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The seccomp filters could not be compiled.
    #[error("the seccomp filters could not be compiled")]
    Seccomp(#[from] seccompiler::BackendError),
    /// What an earlier process left could not be cleared away.
    #[error("what an earlier hearth left behind could not be removed")]
    Reap(#[source] io::Error),
    /// The thread that starts VMMs could not be had.
    #[error("a thread could not be started")]
    Thread(#[source] io::Error),
}

/// Opens the driver that `choice` and the host allow, after clearing away what
/// a killed predecessor on the same state directory left.
///
/// Blocks for some 100 ms, longer the first time. Call it inside a tokio
/// runtime, before serving.
pub fn open_driver(
    choice: IsolationChoice,
    options: &VmmOptions,
) -> Result<(Arc<dyn VmDriver>, Selection), OpenError> {
    let selection = select(choice)?;
    if !rustix::process::geteuid().is_root() {
        return Err(OpenError::NotRoot);
    }
    if options.slots_max > BLOCK_SLOTS {
        return Err(OpenError::TooManySlots { asked: options.slots_max });
    }
    let qemu = Qemu::find()?;
    let instance = Instance::claim(&options.state_dir)?;
    crate::reap::reap(&instance)?;
    let driver = QemuDriver::open(selection.isolation, &qemu, instance, options)?;
    let reason = format!("QEMU {} {}", qemu.version(), selection.reason);
    Ok((Arc::new(driver), Selection { reason, ..selection }))
}

fn select(choice: IsolationChoice) -> Result<Selection, OpenError> {
    if choice == IsolationChoice::Firecracker {
        return Err(OpenError::NoFirecracker);
    }
    let probe = kvm_probe::probe();
    Ok(match probe.usable {
        true => {
            Selection { isolation: Isolation::QemuKvm, reason: format!("on KVM: {}", probe.words) }
        }
        false => Selection {
            isolation: Isolation::QemuTcg,
            reason: format!("emulating the processor (slow): {}", probe.words),
        },
    })
}
