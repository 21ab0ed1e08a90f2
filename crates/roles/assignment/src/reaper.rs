//! Kills what is idle and not worth keeping, what has been idle for longer than the keep-alive,
//! and what is idle on a worker that drains.

use crate::AssignmentService;
use crate::metrics::{End, ended};
use hearth_services::metastore::MetaStore;
use hearth_services::worker::Standing;
use hearth_types::{SandboxId, WorkerId};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How often the reaper looks, unless the keep-alive itself is shorter.
const REAP_INTERVAL_MAX: Duration = Duration::from_secs(5);
/// How often the keeper is told what happened, and asked what is worth keeping. Until then
/// it is only written down, in bounded memory.
const KEEP_INTERVAL: Duration = Duration::from_secs(1);

impl AssignmentService {
    pub(crate) async fn reap_forever(self: &Arc<Self>, store: &Arc<dyn MetaStore>) -> Infallible {
        let every = |interval| {
            let mut tick = tokio::time::interval(interval);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            tick
        };
        let keep_alive = self.options.keep_alive;
        let mut reap = every(keep_alive.clamp(Duration::from_millis(10), REAP_INTERVAL_MAX));
        let mut keep = every(KEEP_INTERVAL);
        loop {
            tokio::select! {
                _now = reap.tick() => self.reap(),
                _now = keep.tick() => {
                    self.keep().await;
                    self.make_ahead(store);
                }
            }
        }
    }

    /// What goes whatever is expected.
    fn reap(&self) {
        let now = self.now().at;
        let expired = self.table.lock().expire(now, self.options.keep_alive);
        self.end_all(End::Idle, expired);
        let mut draining = self.table.lock().idle_workers();
        draining.retain(|worker| self.workers.standing(worker) == Standing::Draining);
        let drained = self.table.lock().drain(&draining);
        self.end_all(End::Drained, drained);
    }

    /// Learns from what happened, and lets go of what is not worth keeping.
    async fn keep(&self) {
        let news = self.table.lock().news();
        self.keeper.lock().learn(&news);
        loop {
            let now = self.now();
            let (unwanted, is_more) = {
                let mut keeper = self.keeper.lock();
                keeper.look(&mut self.table.lock(), now)
            };
            self.end_all(End::Unwanted, unwanted);
            if !is_more {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    fn end_all(&self, why: End, doomed: Vec<(SandboxId, WorkerId)>) {
        ended(why, doomed.len());
        for (sandbox, worker) in doomed {
            tracing::debug!(%sandbox, %worker, ?why, "an idle sandbox goes");
            self.kill_in_background(sandbox, worker);
        }
    }
}

#[cfg(test)]
mod tests;
