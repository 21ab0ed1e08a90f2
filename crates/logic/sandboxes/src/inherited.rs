//! Sandboxes whose doings are told by their workers: those of an earlier leader, and those
//! whose invocation nobody ended.

use crate::entry::{Entry, Owned};
use crate::moment::Moment;
use crate::table::Table;
use hearth_services::assignment::SandboxState;
use hearth_types::{Hold, SandboxId, WorkerId};
use std::sync::Arc;

impl Table {
    /// Takes on a sandbox that an earlier leader began; what it does its worker says.
    pub fn inherit(&mut self, id: SandboxId, owned: Owned, now: Moment) {
        let account = self.running.account(&owned.key.account);
        self.insert(id, Entry::inherited(owned, account, now));
    }

    /// An inherited sandbox, or one whose invocation nobody ended, waits at `worker`. If it
    /// is of a version that is no more, it is forgotten and returned, to be killed.
    pub(crate) fn found_idle(
        &mut self,
        id: SandboxId,
        worker: WorkerId,
        now: Moment,
    ) -> Option<(SandboxId, WorkerId)> {
        let entry = self.sandboxes.get_mut(&id)?;
        let was = entry.state;
        if was == SandboxState::Idle {
            return None;
        }
        if entry.retired {
            self.remove(id);
            return Some((id, worker));
        }
        entry.become_idle(now);
        let (key, account) = (Arc::clone(&entry.owned.key), Arc::clone(&entry.account));
        self.set_worker(id, worker);
        self.add_idle(id);
        if was == SandboxState::Busy {
            self.end_invocation(&key, &account);
        }
        None
    }

    /// A sandbox that is not busy here runs an event at `worker`.
    pub(crate) fn found_busy(
        &mut self,
        id: SandboxId,
        worker: WorkerId,
        hold: Option<Hold>,
        now: Moment,
    ) {
        let Some(entry) = self.sandboxes.get_mut(&id) else { return };
        let (key, account) = (Arc::clone(&entry.owned.key), Arc::clone(&entry.account));
        let was = std::mem::replace(&mut entry.state, SandboxState::Busy);
        entry.hold = hold;
        entry.quiet = 0;
        entry.since = now.at;
        self.set_worker(id, worker);
        if was == SandboxState::Idle {
            self.forget_idle(&key, id);
        }
        if was != SandboxState::Busy {
            self.has_begun(&key, &account);
        }
    }
}
