//! Kills what has been idle for longer than the keep-alive.

use crate::AssignmentService;
use std::convert::Infallible;
use std::time::{Duration, Instant};

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
            let expired = self.table.lock().expire(Instant::now(), keep_alive);
            for (sandbox, worker) in expired {
                tracing::debug!(%sandbox, "idle too long");
                self.kill_in_background(sandbox, worker);
            }
        }
    }
}
