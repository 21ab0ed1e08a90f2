//! Making room for a sandbox: of all partitions, those that have been idle for longest go.

use crate::AssignmentService;
use crate::ledger::Record;
use crate::metrics::{End, ended};
use hearth_cluster::Spare;
use hearth_planner::evictions_for;
use hearth_services::placement::Shortage;
use hearth_types::{Room, SandboxId};
use std::time::Duration;
use tokio::time::timeout;

/// Longest wait for a kill to give its room back.
const KILL_WAIT_MAX: Duration = Duration::from_secs(5);

impl AssignmentService {
    /// Makes as much room as is lacking, on one worker, or waits for some that is being
    /// made. False if there is none to be had.
    pub(crate) async fn make_room(&self, short: &Shortage) -> bool {
        let spare = match &self.surroundings {
            Some(all) => all.spare(short.sandbox_overhead).await,
            None => self.spare(short.sandbox_overhead),
        };
        // What a kill that is under way gives back may be enough.
        let chosen = match spare.kills {
            true => Vec::new(),
            false => evictions_for(short.room, &spare.idle),
        };
        if chosen.is_empty() && !spare.kills {
            return false;
        }
        match &self.surroundings {
            Some(all) => all.evict(chosen).await,
            None => self.evict(&chosen).await,
        }
        true
    }

    /// See [`hearth_cluster::Leaders::spare`].
    pub(crate) fn spare(&self, overhead: Room) -> Spare {
        let now = self.now();
        let idle = self.table.lock().idle(overhead, now);
        Spare { idle, kills: !self.kills.is_empty() }
    }

    /// See [`hearth_cluster::Leaders::evict`].
    pub(crate) async fn evict(&self, ids: &[SandboxId]) {
        let mut killed = self.killed.subscribe();
        let evicted = self.table.lock().evict(ids);
        ended(End::Evicted, evicted.len());
        let mut kills = Vec::new();
        for (id, worker) in evicted {
            self.note_in_background(Record::Ended(id));
            kills.extend(self.order_kill(id, worker));
        }
        let gone = async {
            if kills.is_empty() && !self.kills.is_empty() {
                // The sender is our own, so this only ends with a kill or in time.
                let _ended = killed.changed().await;
            }
            for kill in kills {
                // A panic has been logged.
                let _ended = kill.await;
            }
        };
        if timeout(KILL_WAIT_MAX, gone).await.is_err() {
            tracing::debug!("a worker takes long to kill a sandbox");
        }
    }
}
