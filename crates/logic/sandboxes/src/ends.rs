//! Sandboxes that go: nobody's any more, idle for too long, in the way, or lost.

use crate::entry::Entry;
use crate::table::Table;
use hearth_services::assignment::SandboxState;
use hearth_types::{RevisionId, SandboxId, VersionKey, WorkerId};
use std::collections::HashSet;
use std::time::Duration;

impl Table {
    /// Removes a sandbox that is no more, or came to nothing, whatever it was doing.
    pub fn forget(&mut self, id: SandboxId) {
        self.remove(id);
    }

    /// Declares every revision but `current` of a version obsolete (`None`: all,
    /// the version is deleted). Returns the idle ones, removed, to be killed.
    pub fn retire(
        &mut self,
        is_version: impl Fn(&VersionKey) -> bool,
        current: Option<RevisionId>,
    ) -> Vec<(SandboxId, WorkerId)> {
        for entry in self.sandboxes.values_mut() {
            if is_version(&entry.owned.key) && Some(entry.owned.key.revision) != current {
                entry.retired = true;
            }
        }
        let doomed = self.by_age().filter(|(_, entry)| entry.retired);
        let doomed: Vec<SandboxId> = doomed.map(|(id, _)| id).collect();
        self.evict(&doomed)
    }

    /// Removes what has been idle since before `now - keep_alive`.
    pub fn expire(&mut self, now: Duration, keep_alive: Duration) -> Vec<(SandboxId, WorkerId)> {
        let is_old = |entry: &Entry| now.saturating_sub(entry.since) >= keep_alive;
        let old = self.by_age().take_while(|(_, entry)| is_old(entry));
        let old: Vec<SandboxId> = old.map(|(id, _)| id).collect();
        self.evict(&old)
    }

    /// Removes what is idle on these workers.
    pub fn drain(&mut self, workers: &HashSet<WorkerId>) -> Vec<(SandboxId, WorkerId)> {
        let there = workers.iter().filter_map(|worker| self.by_worker.get(worker)).flatten();
        let mut there: Vec<SandboxId> = there.copied().collect();
        there.sort_unstable();
        self.evict(&there)
    }

    /// Removes these sandboxes if they are still idle.
    pub fn evict(&mut self, ids: &[SandboxId]) -> Vec<(SandboxId, WorkerId)> {
        let mut gone = Vec::new();
        for id in ids {
            if self.sandboxes.get(id).is_some_and(|e| e.state == SandboxState::Idle)
                && let Some(entry) = self.remove(*id)
            {
                gone.extend(entry.owned.worker.map(|w| (*id, w)));
            }
        }
        gone
    }

    /// Empties the table in the end of a leader's time: sandboxes live on, and what they run
    /// the next leader counts.
    pub fn resign(&mut self) {
        let all: Vec<SandboxId> = self.sandboxes.keys().copied().collect();
        all.into_iter().for_each(|id| self.forget(id));
    }

    /// Empties the table; for shutdown.
    pub fn take_all(&mut self) -> Vec<(SandboxId, WorkerId)> {
        let all: Vec<SandboxId> = self.sandboxes.keys().copied().collect();
        let all = all.into_iter().filter_map(|id| Some((id, self.remove(id)?.owned.worker?)));
        all.collect()
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.resign();
    }
}
