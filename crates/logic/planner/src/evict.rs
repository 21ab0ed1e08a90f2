//! Which idle sandboxes make room for a new one.

use hearth_types::{Room, SandboxId, WorkerId};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

/// An idle sandbox as the planner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleSandbox {
    /// Which sandbox.
    pub id: SandboxId,
    /// Where it is.
    pub worker: WorkerId,
    /// What killing it frees.
    pub frees: Room,
    /// For how long it has been idle: clocks of different leaders need not agree.
    pub idle_for: Duration,
}

/// The least recently used sandboxes of one worker that together free at least `need`, and
/// at least one. Of several workers, the one whose victims were all idle before: the one
/// that has enough first, going from the longest idle on. Empty if no worker's would be
/// enough: then killing some would help nobody.
///
/// None is too young to go. Two functions that take turns on a host with room
/// for one start cold each time; if a sandbox could not be taken until it had
/// been idle for a while, every other call would be refused instead, and a
/// refusal is worse than a wait.
pub fn evictions_for(need: Room, idle: &[IdleSandbox]) -> Vec<SandboxId> {
    let mut by_age: Vec<&IdleSandbox> = idle.iter().collect();
    by_age.sort_by_key(|s| (Reverse(s.idle_for), s.id));
    let mut chosen: HashMap<WorkerId, (Room, Vec<SandboxId>)> = HashMap::new();
    for sandbox in by_age {
        let (freed, ids) = chosen.entry(sandbox.worker).or_default();
        ids.push(sandbox.id);
        *freed = freed.plus(sandbox.frees);
        if freed.holds(need) {
            return std::mem::take(ids);
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn evictions_suffice_on_one_worker_are_oldest_first_and_not_one_too_many(
            idle in prop::collection::vec((0usize..3, 1u64..50, 0u64..50, 0u64..1000), 0..20),
            need in (0u64..300, 0u64..300),
        ) {
            let room = |(memory_bytes, disk_bytes)| Room { memory_bytes, disk_bytes };
            let need = room(need);
            let workers = [(); 3].map(|()| WorkerId::new());
            let idle: Vec<IdleSandbox> = idle
                .into_iter()
                .map(|(worker, memory, disk, idle_s)| IdleSandbox {
                    id: SandboxId::new(),
                    worker: workers[worker],
                    frees: room((memory, disk)),
                    idle_for: Duration::from_secs(idle_s),
                })
                .collect();
            let on = |worker: WorkerId| idle.iter().filter(move |s| s.worker == worker);
            let sum = |all: &[&IdleSandbox]| {
                all.iter().fold(Room::default(), |room, s| room.plus(s.frees))
            };
            let suffices = |worker: &WorkerId| {
                let there: Vec<_> = on(*worker).collect();
                !there.is_empty() && sum(&there).holds(need)
            };
            let chosen = evictions_for(need, &idle);
            if !workers.iter().any(suffices) {
                prop_assert!(chosen.is_empty());
            } else {
                let find = |id: &SandboxId| idle.iter().find(|s| s.id == *id).unwrap();
                let gone: Vec<_> = chosen.iter().map(find).collect();
                let (last, before) = gone.split_last().unwrap();
                prop_assert!(gone.iter().all(|s| s.worker == last.worker));
                prop_assert!(sum(&gone).holds(need));
                prop_assert!(before.is_empty() || !sum(before).holds(need));
                let is_older = |s: &&IdleSandbox| s.idle_for > last.idle_for;
                let kept = on(last.worker).filter(|s| !chosen.contains(&s.id));
                prop_assert!(!kept.into_iter().any(|s| is_older(&s)));
                // No other worker has enough that was idle for longer.
                for worker in workers.into_iter().filter(|worker| *worker != last.worker) {
                    let older: Vec<_> = on(worker).filter(is_older).collect();
                    prop_assert!(older.is_empty() || !sum(&older).holds(need));
                }
            }
        }
    }
}
