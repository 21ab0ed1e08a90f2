//! MicroVMs: the [`VmDriver`] contract and the drivers behind it.
//!
//! ```text
//!   open_driver ──► kvm_probe   does KVM really work here?
//!        │          reap        what did a killed predecessor leave?
//!        ▼
//!   create, prepare ───► slots  a uid, a cgroup, a network, made ready ahead
//!        │               qemu   command line, control socket, process
//!        │               jail   namespaces, empty root, no rights, seccomp
//!        ▼
//!   Vm: agent stream, capture, stats, kill, exited
//! ```
//!
//! A guest is hostile, and so is a VMM that a guest has broken out into: it
//! finds no files but its own, no network but its guest's, no rights, and
//! neighbours under other uids.

mod agent_stream;
mod cgroup;
mod driver;
mod host_tsc;
mod instance;
mod jail;
mod kvm_probe;
mod network;
mod open;
mod qemu;
mod reap;
mod slots;
mod traces;

pub use agent_stream::AgentStream;
pub use cgroup::CgroupError;
pub use driver::{
    DeviceState, Disk, GuestNetwork, Isolation, Memory, PreparedVm, Vm, VmDriver, VmError, VmExit,
    VmExitStatus, VmSpec, VmStats,
};
pub use host_tsc::khz as host_tsc_khz;
pub use instance::InstanceError;
pub use kvm_probe::{KvmProbe, probe as probe_kvm};
pub use network::{Cidr, CidrError, NetworkError, PROGRAMS as NETWORK_PROGRAMS};
pub use open::{IsolationChoice, OpenError, Selection, VmmOptions, open_driver};
pub use qemu::{
    Origin, QemuError, Surroundings, Tap, command_line as qemu_command_line, qemu_version,
};
pub use traces::left_behind;
