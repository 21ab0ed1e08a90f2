//! What came of this worker's sandboxes since it started, for whoever judges its health.

use hearth_services::worker::{CreateError, Outcomes};
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
    /// or for lack of room, says nothing of the worker.
    pub(crate) fn made<T>(&self, result: &Result<T, CreateError>) {
        match result {
            Ok(_) => self.created.fetch_add(1, Relaxed),
            Err(CreateError::Fetch(_) | CreateError::Vm(_)) => self.failed.fetch_add(1, Relaxed),
            Err(_) => return,
        };
    }

    /// A microVM ended by itself.
    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Relaxed);
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
        counts.made(&Ok(()));
        counts.made::<()>(&Err(CreateError::NoCapacity));
        counts.made::<()>(&Err(CreateError::RestoreTimedOut));
        counts.made::<()>(&Err(CreateError::Vm("x".into())));
        counts.made::<()>(&Err(CreateError::Fetch("x".into())));
        counts.lost();
        assert_eq!(counts.now(), Outcomes { created: 1, failed: 2, lost: 1 });
    }
}
