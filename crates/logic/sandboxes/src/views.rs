//! What others see of the table.

use crate::entry::Owned;
use crate::moment::Moment;
use crate::table::Table;
use hearth_planner::IdleSandbox;
use hearth_services::assignment::{SandboxInfo, SandboxState};
use hearth_types::{AccountId, Room, SandboxId, VersionKey, WorkerId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Idle sandboxes of one partition that are looked at when room is to be made.
const IDLE_LOOKED_AT_MAX: usize = 512;

impl Table {
    /// What the journal is told of one.
    pub fn owned_of(&self, id: SandboxId) -> Option<Owned> {
        self.sandboxes.get(&id).map(|entry| entry.owned.clone())
    }

    /// What a checkpoint keeps.
    pub fn owned(&self) -> Vec<(SandboxId, Owned)> {
        self.sandboxes.iter().map(|(id, entry)| (*id, entry.owned.clone())).collect()
    }

    /// What a sandbox is at, and whose.
    pub fn state_of(&self, id: SandboxId) -> Option<(SandboxState, &VersionKey)> {
        self.sandboxes.get(&id).map(|entry| (entry.state, &*entry.owned.key))
    }

    /// Those that a worker is known to have.
    pub fn on_worker(&self, worker: &WorkerId) -> impl Iterator<Item = SandboxId> {
        self.by_worker.get(worker).into_iter().flatten().copied()
    }

    /// The workers on which something is idle.
    pub fn idle_workers(&self) -> HashSet<WorkerId> {
        self.by_age().filter_map(|(_, entry)| entry.owned.worker).collect()
    }

    /// The idle ones, for the planner: those that have been for longest, so many at most.
    /// Each frees `overhead` beyond its function's own.
    pub fn idle(&self, overhead: Room, now: Moment) -> Vec<IdleSandbox> {
        let idle = self.by_age().filter_map(|(id, entry)| {
            Some(IdleSandbox {
                id,
                worker: entry.owned.worker?,
                frees: entry.owned.room.plus(overhead),
                idle_for: now.at.saturating_sub(entry.since),
            })
        });
        idle.take(IDLE_LOOKED_AT_MAX).collect()
    }

    /// How many events of each version and revision have begun, also those whose sandbox
    /// starts.
    pub(crate) fn busy(&self) -> HashMap<Arc<VersionKey>, usize> {
        let mut busy = HashMap::new();
        for entry in self.sandboxes.values().filter(|entry| entry.has_event()) {
            *busy.entry(Arc::clone(&entry.owned.key)).or_default() += 1;
        }
        busy
    }

    /// One account's sandboxes, oldest first.
    pub fn list(&self, account: &AccountId) -> Vec<SandboxInfo> {
        let of_account = self.sandboxes.iter().filter(|(_, e)| e.owned.key.account == *account);
        let mut list: Vec<SandboxInfo> = of_account.map(|(id, e)| e.info(*id)).collect();
        list.sort_by_key(|s| (s.created, s.id));
        list
    }

    /// How many there are of each state.
    pub fn count(&self) -> [usize; SandboxState::ALL.len()] {
        let mut counts = SandboxState::ALL.map(|_| 0);
        for entry in self.sandboxes.values() {
            counts[entry.state as usize] += 1;
        }
        counts
    }

    /// Every version that has a sandbox.
    pub fn versions(&self) -> Vec<Arc<VersionKey>> {
        let of = |entry: &crate::entry::Entry| Arc::clone(&entry.owned.key);
        let mut keys: Vec<Arc<VersionKey>> = self.sandboxes.values().map(of).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}
