//! What the session needs of the machine it runs in. Pid 1's is `Machine`;
//! tests have a lesser one.

use crate::error::SetupError;
use crate::process::Spawned;
use hearth_agent_proto::Configure;

/// The machine around one function.
pub(crate) trait Guest: Send + Sync + 'static {
    /// Makes the guest the sandbox it is to be.
    fn configure(&self, configure: &Configure) -> Result<(), SetupError>;

    /// Starts the runtime.
    fn start(&self, environment: &[(String, String)]) -> Result<Spawned, SetupError>;

    /// Brings the wall clock up to the worker's.
    fn correct_clock(&self, unix_ns: u64) -> Result<(), SetupError>;

    /// Most memory that the function has held at once.
    fn memory_peak_bytes(&self) -> u64;

    /// Whether the function ran out of memory.
    fn out_of_memory(&self) -> bool;

    /// Kills whatever the function left running.
    fn kill(&self) -> Result<(), SetupError>;
}
