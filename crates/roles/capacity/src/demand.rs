//! How much of the fleet is in use, in MiB of its memory, and what will be.
//!
//! A worker is in use by the scarcest of what it has: one whose places are all taken is full
//! however much memory is left. Whoever was refused a sandbox adds one of the mean size.

use crate::nodes::Answer;
use hearth_forecast::seasonal::Seasonal;
use hearth_planner::capacity::Load;
use hearth_services::worker::WorkerStatus;
use hearth_types::{NodeLife, NodeName};
use std::collections::HashMap;
use std::time::Duration;

/// How far it has to look ahead: a new worker is up by then.
const HORIZON: Duration = Duration::from_secs(600);
const MIB: u64 = 1 << 20;
/// What a worker has, as long as none has said.
const WORKER_MIB: u64 = 8 * 1024;
/// And what a sandbox takes.
const SANDBOX_MIB: u64 = 256;

/// What is known of it.
pub(crate) struct Demand {
    pub(crate) seasonal: Seasonal,
    /// What each leader's node had refused, in which life.
    refused: HashMap<NodeName, (NodeLife, u64)>,
    of_one_mib: u64,
    in_use_mib: u64,
}

impl Demand {
    pub(crate) fn new(seasonal: Seasonal) -> Self {
        Self { seasonal, refused: HashMap::new(), of_one_mib: WORKER_MIB, in_use_mib: 0 }
    }

    /// Takes what nodes and well workers said; how many sandboxes were refused since.
    pub(crate) fn note<'a>(
        &mut self,
        answers: &[Answer],
        workers: impl Iterator<Item = &'a WorkerStatus>,
        unix: Duration,
    ) -> u64 {
        let (mut count, mut total, mut used, mut promised, mut sandboxes) = (0, 0, 0, 0, 0);
        for status in workers {
            count += 1;
            total += status.total.memory_bytes / MIB;
            used += in_use_mib(status);
            promised += status.promised.memory_bytes / MIB;
            sandboxes += u64::from(status.sandboxes);
        }
        if total > 0 {
            self.of_one_mib = (total / count).max(1);
        }
        let refused = self.newly_refused(answers);
        let of_one = promised.checked_div(sandboxes).unwrap_or(SANDBOX_MIB).max(1);
        // Who is refused asks again: no more than as much again is believed at once.
        let missing = refused.saturating_mul(of_one).min(used.max(self.of_one_mib));
        self.in_use_mib = used.saturating_add(missing);
        self.seasonal.note(unix, self.in_use_mib);
        refused
    }

    pub(crate) fn load(&self, headroom_percent: u32) -> Load {
        Load {
            in_use: self.in_use_mib,
            upper: self.seasonal.demand_in(HORIZON).upper,
            of_one_worker: self.of_one_mib,
            headroom_percent,
        }
    }

    fn newly_refused(&mut self, answers: &[Answer]) -> u64 {
        let mut refused = 0u64;
        for (node, status) in answers {
            let Some(status) = status else { continue };
            let now = (node.life, status.refused);
            let before = self.refused.insert(node.name.clone(), now);
            // What was refused before this manager's time is over.
            if let Some((life, before)) = before {
                let before = if life == node.life { before } else { 0 };
                refused = refused.saturating_add(status.refused.saturating_sub(before));
            }
        }
        // Those that do not answer for a moment are remembered; those that are gone are not.
        self.refused.retain(|name, _| answers.iter().any(|(node, _)| node.name == *name));
        refused
    }
}

/// Of a worker's memory, as much as the scarcest of what it has is taken.
fn in_use_mib(status: &WorkerStatus) -> u64 {
    let total = u128::from(status.total.memory_bytes / MIB);
    let share = |taken: u64, of: u64| total * u128::from(taken.min(of)) / u128::from(of.max(1));
    let memory = share(status.promised.memory_bytes, status.total.memory_bytes);
    let disk = share(status.promised.disk_bytes, status.total.disk_bytes);
    let places = share(status.sandboxes.into(), status.sandboxes_max.into());
    u64::try_from(memory.max(disk).max(places)).unwrap_or(u64::MAX)
}
