//! An invocation gets a sandbox, and gives it back.

use crate::entry::{Entry, Wanted};
use crate::moment::Moment;
use crate::table::Table;
use hearth_services::assignment::{Disposition, SandboxState};
use hearth_types::{Hold, SandboxId, StartKind, WorkerId};

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
        if !self.may_begin(&wanted.key.account) {
            return Begin::OverConcurrency;
        }
        self.notes.at(now.at);
        let hold = self.next_hold();
        if quickest == StartKind::Warm
            && let Some(id) = self.pop_idle(wanted.key)
            && let Some(entry) = self.sandboxes.get_mut(&id)
            && let Some(worker) = entry.owned.worker
        {
            entry.become_busy(hold, now);
            self.notes.add(&entry.owned.key, true);
            return Begin::Warm(id, worker, hold);
        }
        let id = fresh();
        let entry = Entry::starting(wanted, hold, now);
        self.notes.add(&entry.owned.key, true);
        self.insert(id, entry);
        Begin::Start(id, hold)
    }

    /// A starting sandbox exists now and belongs to the invocation that began it.
    pub fn started(&mut self, id: SandboxId, worker: WorkerId, now: Moment) {
        self.set_worker(id, worker);
        if let Some(entry) = self.sandboxes.get_mut(&id) {
            entry.state = SandboxState::Busy;
            entry.since = now.at;
            entry.invocations = 1;
        }
    }

    /// A starting sandbox came to nothing; its invocation ends.
    pub fn start_failed(&mut self, id: SandboxId) {
        if let Some(entry) = self.remove(id)
            && entry.state == SandboxState::Starting
        {
            self.end_invocation(&entry.owned.key);
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
        if disposition == Disposition::Discard || entry.retired {
            return self.remove(id).and_then(|entry| entry.owned.worker);
        }
        entry.become_idle(now);
        let key = std::sync::Arc::clone(&entry.owned.key);
        self.add_idle(id);
        self.end_invocation(&key);
        None
    }
}

#[cfg(test)]
mod tests;
