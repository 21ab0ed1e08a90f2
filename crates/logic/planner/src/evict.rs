//! Which idle sandboxes make room for a new one.

use hearth_types::SandboxId;

/// An idle sandbox as the planner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleSandbox {
    /// Which sandbox.
    pub id: SandboxId,
    /// What killing it frees, in bytes.
    pub memory_bytes: u64,
    /// When it was used last, on any clock that only grows.
    pub last_used: u64,
}

/// The least recently used sandboxes whose memory together is at least
/// `need_bytes`, and at least one. Empty if all of them together would not be
/// enough: then killing some would help nobody.
pub fn evictions_for(need_bytes: u64, idle: &[IdleSandbox]) -> Vec<SandboxId> {
    let mut by_age: Vec<&IdleSandbox> = idle.iter().collect();
    by_age.sort_by_key(|s| (s.last_used, s.id));
    let mut freed = 0u64;
    let mut chosen = Vec::new();
    for sandbox in by_age {
        chosen.push(sandbox.id);
        freed = freed.saturating_add(sandbox.memory_bytes);
        if freed >= need_bytes {
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
            idle in prop::collection::vec((1u64..50, 0u64..1000), 0..20),
            need in 0u64..300,
        ) {
            let idle: Vec<IdleSandbox> = idle
                .into_iter()
                .map(|(memory_bytes, last_used)| IdleSandbox { id: SandboxId::new(), memory_bytes, last_used })
                .collect();
            let chosen = evictions_for(need, &idle);
            let find = |id: &SandboxId| idle.iter().find(|s| s.id == *id).unwrap();
            let total: u64 = idle.iter().map(|s| s.memory_bytes).sum();
            if idle.is_empty() || total < need {
                prop_assert!(chosen.is_empty());
            } else {
                let freed: u64 = chosen.iter().map(|id| find(id).memory_bytes).sum();
                prop_assert!(freed >= need && !chosen.is_empty());
                let last = find(chosen.last().unwrap());
                prop_assert!(chosen.len() == 1 || freed - last.memory_bytes < need);
                let kept_older = idle.iter()
                    .filter(|s| !chosen.contains(&s.id))
                    .any(|s| s.last_used < last.last_used);
                prop_assert!(!kept_older);
            }
        }
    }
}
