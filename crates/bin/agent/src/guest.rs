//! What the session needs of the machine it runs in. Pid 1's is `Machine`;
//! tests have a lesser one.

use crate::error::SetupError;
use crate::process::Spawned;
use hearth_agent_proto::{Configure, Identity, Prepare};
use std::os::fd::OwnedFd;

/// The machine around one function.
pub(crate) trait Guest: Send + Sync + 'static {
    /// Makes the guest one of its runtime.
    fn prepare(&self, prepare: &Prepare) -> Result<(), SetupError>;

    /// Makes the guest the sandbox it is to be.
    fn configure(&self, configure: &Configure) -> Result<(), SetupError>;

    /// Makes a clone of a sandbox another one.
    fn restore(&self, identity: &Identity) -> Result<(), SetupError>;

    /// Starts the runtime, with a line if it knows what to do with one.
    fn start(&self, environment: &[(String, String)], line: bool) -> Result<Spawned, SetupError>;

    /// Brings the wall clock up to the worker's.
    fn correct_clock(&self, unix_ns: u64) -> Result<(), SetupError>;

    /// Most memory that the function has held at once.
    fn memory_peak_bytes(&self) -> u64;

    /// Whether the function ran out of memory.
    fn out_of_memory(&self) -> bool;

    /// A descriptor that becomes ready, with priority, when the function starves
    /// for memory; none outside a guest.
    fn starvation(&self) -> Result<Option<OwnedFd>, SetupError>;

    /// Kills the function if it starves because it is at its limit.
    fn kill_if_at_limit(&self) -> Result<(), SetupError>;

    /// Kills whatever the function left running.
    fn kill(&self) -> Result<(), SetupError>;
}
