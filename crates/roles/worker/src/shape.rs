//! Sizes of guests: those of one shape can take each other's place before it is
//! known whose they are.

use crate::WorkerService;
use hearth_types::FunctionVersion;

/// All that has to be known of a guest to start its VMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    pub(crate) memory_mib: u32,
    pub(crate) vcpus: u32,
    pub(crate) scratch_mib: u32,
}

impl Shape {
    /// That of a version's sandboxes.
    pub(crate) fn of(worker: &WorkerService, version: &FunctionVersion) -> Self {
        Self {
            memory_mib: version.memory.get() + worker.options.guest_overhead_mib,
            vcpus: version.memory.vcpus(),
            scratch_mib: version.ephemeral_storage.get(),
        }
    }
}
