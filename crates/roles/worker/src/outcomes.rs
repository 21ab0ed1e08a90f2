//! What came of this worker's sandboxes since it started, for whoever judges its health.

use hearth_services::worker::{CreateError, Outcomes};
use hearth_vmm::{VmExit, VmExitStatus};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts.
#[derive(Default)]
pub(crate) struct Counts {
    created: AtomicU64,
    failed: AtomicU64,
    lost: AtomicU64,
}

impl Counts {
    /// The making of a sandbox came to its end. What failed for a reason of the function's,
    /// or for lack of room, says nothing of the worker; nor what failed once the guest was in
    /// the function's hands, which can break it as it likes.
    pub(crate) fn made<T>(&self, result: &Result<T, CreateError>, is_functions: bool) {
        match result {
            Ok(_) => self.created.fetch_add(1, Relaxed),
            Err(CreateError::Fetch(_) | CreateError::Vm(_)) if !is_functions => {
                self.failed.fetch_add(1, Relaxed)
            }
            Err(_) => return,
        };
    }

    /// A microVM ended that was not told to. One that powered off or panicked did so itself.
    pub(crate) fn lost(&self, exit: &VmExit) {
        if exit.status != VmExitStatus::Exited(0) {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn now(&self) -> Outcomes {
        Outcomes {
            created: self.created.load(Relaxed),
            failed: self.failed.load(Relaxed),
            lost: self.lost.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_fault_of_the_worker_is_not_counted() {
        let counts = Counts::default();
        counts.made(&Ok(()), true);
        counts.made::<()>(&Err(CreateError::NoCapacity), false);
        counts.made::<()>(&Err(CreateError::RestoreTimedOut), true);
        counts.made::<()>(&Err(CreateError::Vm("x".into())), false);
        counts.made::<()>(&Err(CreateError::Vm("x".into())), true);
        counts.made::<()>(&Err(CreateError::Fetch("x".into())), false);
        let exit = |status| VmExit { status, stderr: String::new() };
        counts.lost(&exit(VmExitStatus::Exited(0)));
        counts.lost(&exit(VmExitStatus::Signalled(6)));
        assert_eq!(counts.now(), Outcomes { created: 1, failed: 2, lost: 1 });
    }
}
