//! A sandbox on loan from assignment. It goes back exactly once, whatever
//! happens to the call that holds it.

use hearth_services::assignment::{Acquired, Assignment, Disposition};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// The loan.
pub(crate) struct Lease {
    pub(crate) acquired: Acquired,
    assignment: Arc<dyn Assignment>,
    tasks: TaskTracker,
    released: bool,
}

impl Lease {
    pub(crate) fn new(
        acquired: Acquired,
        assignment: Arc<dyn Assignment>,
        tasks: TaskTracker,
    ) -> Self {
        Self { acquired, assignment, tasks, released: false }
    }

    /// Gives the sandbox back.
    pub(crate) async fn release(mut self, disposition: Disposition) {
        self.released = true;
        self.assignment.release(self.acquired.sandbox, self.acquired.hold, disposition).await;
    }
}

impl Drop for Lease {
    /// A call that ends without releasing has panicked: nobody knows what its
    /// sandbox is doing, so it is discarded.
    fn drop(&mut self) {
        if !self.released {
            let (assignment, sandbox) = (self.assignment.clone(), self.acquired.sandbox);
            let hold = self.acquired.hold;
            hearth_tasks::spawn_tracked(&self.tasks, "release", async move {
                assignment.release(sandbox, hold, Disposition::Discard).await;
            });
        }
    }
}
