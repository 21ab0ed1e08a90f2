//! Kills what has been idle for longer than the keep-alive, and what is idle on a worker that
//! drains.

use crate::AssignmentService;
use crate::metrics::{End, ended};
use hearth_services::worker::Standing;
use std::convert::Infallible;
use std::time::Duration;

/// How often the reaper looks, unless the keep-alive itself is shorter.
const REAP_INTERVAL_MAX: Duration = Duration::from_secs(5);

impl AssignmentService {
    pub(crate) async fn reap_forever(&self) -> Infallible {
        let keep_alive = self.options.keep_alive;
        let mut tick =
            tokio::time::interval(keep_alive.clamp(Duration::from_millis(10), REAP_INTERVAL_MAX));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let now = self.now().at;
            let expired = self.table.lock().expire(now, keep_alive);
            ended(End::Idle, expired.len());
            for (sandbox, worker) in expired {
                tracing::debug!(%sandbox, "idle too long");
                self.kill_in_background(sandbox, worker);
            }
            let mut draining = self.table.lock().idle_workers();
            draining.retain(|worker| self.workers.standing(worker) == Standing::Draining);
            let drained = self.table.lock().drain(&draining);
            ended(End::Drained, drained.len());
            for (sandbox, worker) in drained {
                tracing::debug!(%sandbox, %worker, "idle on a worker that drains");
                self.kill_in_background(sandbox, worker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{AssignmentOptions, AssignmentService};
    use async_trait::async_trait;
    use hearth_sandboxes::testing::version_of;
    use hearth_services::assignment::{Assignment, Disposition};
    use hearth_services::placement::{PlaceError, Placed, Placement};
    use hearth_services::worker::{
        CreateError, Created, HeldSandbox, Invocation, InvokeError, Invoked, SandboxesError,
        Standing, Worker, WorkerDirectory, WorkerStatus,
    };
    use hearth_types::{
        FunctionVersion, Reign, RevisionId, SandboxId, StageTimes, StartKind, WorkerId,
    };
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::time::Duration;
    use tokio::sync::mpsc;
    use tokio::time::{Instant, advance};

    /// Has sandboxes made at once, and tells of kills.
    struct Fleet(mpsc::UnboundedSender<SandboxId>);

    #[async_trait]
    impl Placement for Fleet {
        async fn place(
            &self,
            _id: SandboxId,
            _version: &Arc<FunctionVersion>,
            _quickest: StartKind,
            _reign: Reign,
        ) -> Result<Placed, PlaceError> {
            let created =
                Created { start: StartKind::Cold, stages: StageTimes::default(), revision: 0 };
            Ok(Placed { worker: WorkerId::new(), created })
        }
    }

    #[async_trait]
    impl Worker for Fleet {
        async fn create(
            &self,
            _id: SandboxId,
            _version: &Arc<FunctionVersion>,
            _quickest: StartKind,
            _reign: Reign,
        ) -> Result<Created, CreateError> {
            unreachable!("placement makes them")
        }
        async fn invoke(&self, _id: SandboxId, _: Invocation) -> Result<Invoked, InvokeError> {
            unreachable!("nothing is invoked")
        }
        async fn kill(&self, id: SandboxId, _reign: Reign) {
            self.0.send(id).unwrap();
        }
        async fn sandboxes(&self, _: Reign) -> Result<Vec<HeldSandbox>, SandboxesError> {
            unreachable!("nobody asks")
        }
        async fn status(&self) -> Option<WorkerStatus> {
            unreachable!("nobody asks")
        }
    }

    /// The second says that all workers drain.
    struct Directory(Arc<Fleet>, AtomicBool);

    impl WorkerDirectory for Directory {
        fn worker(&self, _id: &WorkerId) -> Option<Arc<dyn Worker>> {
            Some(self.0.clone())
        }
        fn all(&self) -> Vec<(WorkerId, Arc<dyn Worker>)> {
            unreachable!("nobody asks")
        }
        fn standing(&self, _id: &WorkerId) -> Standing {
            if self.1.load(Relaxed) { Standing::Draining } else { Standing::Serving }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_sandbox_is_killed_after_the_keep_alive_and_not_before() {
        let keep_alive = Duration::from_secs(600);
        let (kills, mut killed) = mpsc::unbounded_channel();
        let fleet = Arc::new(Fleet(kills));
        let options = AssignmentOptions { keep_alive, ..AssignmentOptions::default() };
        let service = AssignmentService::new(
            options,
            fleet.clone(),
            Arc::new(Directory(fleet.clone(), false.into())),
        );
        let version = Arc::new(version_of("111111111111", RevisionId::new()));
        let acquired = service.acquire(&version, StartKind::Warm).await.unwrap();
        let sandbox = acquired.sandbox;
        // Busy for longer than the keep-alive, which does not count.
        advance(2 * keep_alive).await;
        service.release(sandbox, acquired.hold, Disposition::Reusable).await;

        let idle_since = Instant::now();
        let dead = tokio::select! {
            dead = killed.recv() => dead,
            never = service.reap_forever() => match never {},
        };
        assert_eq!(dead, Some(sandbox));
        let idle = idle_since.elapsed();
        assert!(
            (keep_alive..keep_alive + 2 * super::REAP_INTERVAL_MAX).contains(&idle),
            "{idle:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_idle_on_a_draining_worker_goes_and_what_is_busy_ends_first() {
        let (kills, mut killed) = mpsc::unbounded_channel();
        let fleet = Arc::new(Fleet(kills));
        let directory = Arc::new(Directory(fleet.clone(), false.into()));
        let options = AssignmentOptions::default();
        let service = AssignmentService::new(options, fleet, directory.clone());
        let version = Arc::new(version_of("111111111111", RevisionId::new()));
        let idle = service.acquire(&version, StartKind::Warm).await.unwrap();
        let busy = service.acquire(&version, StartKind::Warm).await.unwrap();
        service.release(idle.sandbox, idle.hold, Disposition::Reusable).await;
        directory.1.store(true, Relaxed);
        let mut next = async || {
            tokio::select! {
                dead = killed.recv() => dead,
                () = tokio::time::sleep(4 * super::REAP_INTERVAL_MAX) => None,
                never = service.reap_forever() => match never {},
            }
        };
        assert_eq!(next().await, Some(idle.sandbox));
        assert_eq!(next().await, None);
        service.release(busy.sandbox, busy.hold, Disposition::Reusable).await;
        assert_eq!(next().await, Some(busy.sandbox));
    }
}
