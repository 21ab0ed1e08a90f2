//! An invocation gets a sandbox, and gives it back.

use crate::entry::{Entry, Wanted};
use crate::moment::Moment;
use crate::table::Table;
use hearth_services::assignment::{Disposition, SandboxState};
use hearth_types::{Hold, SandboxId, StartKind, VersionKey, WorkerId};
use std::sync::Arc;

/// What an invocation found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// An idle sandbox; it is busy now.
    Warm(SandboxId, WorkerId, Hold),
    /// None idle; this one is noted as starting.
    Start(SandboxId, Hold),
    /// The account may not run another.
    OverConcurrency,
}

impl Table {
    /// Begins an invocation: counts it, and finds or notes its sandbox, which has this id
    /// if it is new.
    pub fn begin(
        &mut self,
        wanted: &Wanted<'_>,
        quickest: StartKind,
        now: Moment,
        fresh: impl FnOnce() -> SandboxId,
    ) -> Begin {
        if quickest == StartKind::Warm
            && let Some((id, worker, hold)) = self.begin_idle(wanted.key, now)
        {
            return Begin::Warm(id, worker, hold);
        }
        let account = self.running.account(&wanted.key.account);
        if !account.may_begin(self.running.max()) {
            return Begin::OverConcurrency;
        }
        self.notes.at(now.at);
        let hold = self.next_hold();
        let id = fresh();
        let mut entry = Entry::starting(wanted, account, hold, now);
        entry.invocations = 1;
        self.notes.add(&entry.owned.key, true);
        self.insert(id, entry);
        Begin::Start(id, hold)
    }

    /// Begins an invocation if a sandbox is idle for it and its account may run another.
    pub fn begin_idle(
        &mut self,
        key: &VersionKey,
        now: Moment,
    ) -> Option<(SandboxId, WorkerId, Hold)> {
        let id = *self.idle_of(key).last()?;
        let entry = self.sandboxes.get(&id)?;
        let worker = entry.owned.worker?;
        if !entry.account.may_begin(self.running.max()) {
            return None;
        }
        self.notes.at(now.at);
        self.pop_idle(key);
        let hold = self.next_hold();
        let entry = self.sandboxes.get_mut(&id)?;
        entry.become_busy(hold, now);
        self.notes.add(&entry.owned.key, true);
        Some((id, worker, hold))
    }

    /// A starting sandbox exists now and belongs to the invocation that began it.
    pub fn started(&mut self, id: SandboxId, worker: WorkerId, now: Moment) {
        self.set_worker(id, worker);
        if let Some(entry) = self.sandboxes.get_mut(&id) {
            entry.state = SandboxState::Busy;
            entry.since = now.at;
        }
    }

    /// Ends an invocation. Returns the worker if the sandbox must be killed.
    pub fn release(
        &mut self,
        id: SandboxId,
        hold: Hold,
        disposition: Disposition,
        now: Moment,
    ) -> Option<WorkerId> {
        self.notes.at(now.at);
        let entry = self.sandboxes.get_mut(&id)?;
        if entry.state != SandboxState::Busy || entry.hold != Some(hold) {
            return None;
        }
        if disposition != Disposition::Reusable || entry.retired {
            return self.remove(id).and_then(|entry| entry.owned.worker);
        }
        entry.become_idle(now);
        let (key, account) = (Arc::clone(&entry.owned.key), Arc::clone(&entry.account));
        self.add_idle(id);
        self.end_invocation(&key, &account);
        None
    }
}

#[cfg(test)]
mod tests;
