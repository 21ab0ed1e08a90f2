//! Making room for a sandbox: of all partitions, those that have been idle for longest go.
//! Each that lacks room takes its own, so that many at once are not in each other's way.

use crate::AssignmentService;
use crate::kills::UnderWay;
use crate::ledger::Record;
use crate::metrics::{End, ended};
use hearth_cluster::Spare;
use hearth_planner::{IdleSandbox, evictions_for};
use hearth_services::placement::Shortage;
use hearth_services::worker::Standing;
use hearth_types::{Room, SandboxId, WorkerId};
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::timeout;

/// Longest wait for a kill to give its room back.
const KILL_WAIT_MAX: Duration = Duration::from_secs(5);
/// The same for one that another node may have under way, which does not tell its end.
const KILL_ELSEWHERE_WAIT: Duration = Duration::from_millis(250);

/// What there was to be had.
pub(crate) enum Taken {
    /// Enough, and it is gone.
    Enough,
    /// Nothing, but something is being killed.
    Awaited,
    /// Nothing.
    Nothing,
}

impl AssignmentService {
    /// Makes as much room as is lacking, on one worker, or waits for some that is being made;
    /// `kills` were under way when it was found lacking. False if there is none to be had.
    pub(crate) async fn make_room(&self, short: &Shortage, kills: &mut UnderWay) -> bool {
        let Some(room) = short.room else { return false };
        let overhead = short.sandbox_overhead;
        let (taken, patience) = match &self.surroundings {
            Some(all) => (all.make_room(room, overhead).await, KILL_ELSEWHERE_WAIT),
            None => (self.make_own_room(room, overhead).await, KILL_WAIT_MAX),
        };
        if matches!(taken, Taken::Awaited) {
            // Whether one ended or not, there may be room.
            let _late = timeout(patience, kills.one_ends()).await;
        }
        !matches!(taken, Taken::Nothing)
    }

    /// The same where there is no other partition.
    async fn make_own_room(&self, room: Room, overhead: Room) -> Taken {
        let chosen = evictions_for(room, &self.idle_where_it_helps(overhead));
        let evicted = self.table.lock().evict(&chosen);
        if evicted.is_empty() {
            return if self.kills.are_none() { Taken::Nothing } else { Taken::Awaited };
        }
        let taken = self.kill_evicted(evicted);
        self.gone(&taken).await;
        Taken::Enough
    }

    /// See [`hearth_cluster::Leaders::spare`].
    pub(crate) fn spare(&self, overhead: Room) -> Spare {
        Spare { idle: self.idle_where_it_helps(overhead), kills: !self.kills.are_none() }
    }

    /// What is idle on workers that are there and take new sandboxes.
    fn idle_where_it_helps(&self, overhead: Room) -> Vec<IdleSandbox> {
        let now = self.now();
        let mut idle = self.table.lock().idle(overhead, now);
        // All at once: to find one among thousands is to look through them.
        let all = self.workers.all().into_iter().map(|(id, _)| id);
        let takes = |id: &WorkerId| self.workers.standing(id) == Standing::Serving;
        let takes: HashSet<WorkerId> = all.filter(takes).collect();
        idle.retain(|sandbox| takes.contains(&sandbox.worker));
        idle
    }

    /// See [`hearth_cluster::Leaders::take`].
    pub(crate) fn take(&self, ids: &[SandboxId]) -> Vec<SandboxId> {
        let evicted = self.table.lock().evict(ids);
        self.kill_evicted(evicted)
    }

    fn kill_evicted(&self, evicted: Vec<(SandboxId, WorkerId)>) -> Vec<SandboxId> {
        ended(End::Evicted, evicted.len());
        let kill = |(id, worker)| {
            self.note_in_background(Record::Ended(id));
            self.order_kill(id, worker);
            id
        };
        evicted.into_iter().map(kill).collect()
    }

    /// See [`hearth_cluster::Leaders::gone`].
    pub(crate) async fn gone(&self, ids: &[SandboxId]) {
        if timeout(KILL_WAIT_MAX, self.kills.gone(ids)).await.is_err() {
            tracing::debug!("a worker takes long to kill a sandbox");
        }
    }
}
