//! Which idle sandboxes make room for a new one.

use hearth_types::{Room, SandboxId};

/// An idle sandbox as the planner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleSandbox {
    /// Which sandbox.
    pub id: SandboxId,
    /// What killing it frees.
    pub frees: Room,
    /// When it was used last, on any clock that only grows.
    pub last_used: u64,
}

/// The least recently used sandboxes that together free at least `need`, and at
/// least one. Empty if all of them together would not be enough: then killing
/// some would help nobody.
///
/// None is too young to go. Two functions that take turns on a host with room
/// for one start cold each time; if a sandbox could not be taken until it had
/// been idle for a while, every other call would be refused instead, and a
/// refusal is worse than a wait.
pub fn evictions_for(need: Room, idle: &[IdleSandbox]) -> Vec<SandboxId> {
    let mut by_age: Vec<&IdleSandbox> = idle.iter().collect();
    by_age.sort_by_key(|s| (s.last_used, s.id));
    let mut freed = Room::default();
    let mut chosen = Vec::new();
    for sandbox in by_age {
        chosen.push(sandbox.id);
        freed = freed.plus(sandbox.frees);
        if freed.holds(need) {
            return chosen;
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
        fn evictions_suffice_are_oldest_first_and_not_one_too_many(
            idle in prop::collection::vec((1u64..50, 0u64..50, 0u64..1000), 0..20),
            need in (0u64..300, 0u64..300),
        ) {
            let room = |(memory_bytes, disk_bytes)| Room { memory_bytes, disk_bytes };
            let need = room(need);
            let idle: Vec<IdleSandbox> = idle
                .into_iter()
                .map(|(memory, disk, last_used)| {
                    IdleSandbox { id: SandboxId::new(), frees: room((memory, disk)), last_used }
                })
                .collect();
            let chosen = evictions_for(need, &idle);
            let find = |id: &SandboxId| idle.iter().find(|s| s.id == *id).unwrap();
            let sum = |all: &[IdleSandbox]| all.iter().fold(Room::default(), |r, s| r.plus(s.frees));
            if idle.is_empty() || !sum(&idle).holds(need) {
                prop_assert!(chosen.is_empty());
            } else {
                let freed: Vec<IdleSandbox> = chosen.iter().map(|id| *find(id)).collect();
                prop_assert!(sum(&freed).holds(need) && !chosen.is_empty());
                let (last, before) = freed.split_last().unwrap();
                prop_assert!(before.is_empty() || !sum(before).holds(need));
                let kept_older = idle.iter()
                    .filter(|s| !chosen.contains(&s.id))
                    .any(|s| s.last_used < last.last_used);
                prop_assert!(!kept_older);
            }
        }
    }
}
