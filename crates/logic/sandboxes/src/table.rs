//! The table itself: every sandbox, by what it is looked for.

use crate::ages::Ages;
use crate::entry::Entry;
use crate::notes::Notes;
use crate::running::{Account, Running};
use hearth_services::assignment::SandboxState;
use hearth_types::{Hold, Reign, SandboxId, VersionKey, WorkerId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Every sandbox of one leader.
pub struct Table {
    pub(crate) sandboxes: HashMap<SandboxId, Entry>,
    reign: Reign,
    /// Of the last hold.
    serial: u64,
    /// Idle ones by version, most recently used last: the warmest serves next,
    /// and the others grow old enough to be reaped.
    idle: HashMap<Arc<VersionKey>, Vec<SandboxId>>,
    /// Idle ones of all versions, by when they were used last.
    pub(crate) ages: Ages,
    /// Those whose worker is known.
    pub(crate) by_worker: HashMap<WorkerId, BTreeSet<SandboxId>>,
    pub(crate) running: Arc<Running>,
    pub(crate) notes: Notes,
}

impl Table {
    /// An empty one, of one leader's time, whose invocations are counted in `running`.
    pub fn new(reign: Reign, running: Arc<Running>) -> Self {
        Self {
            sandboxes: HashMap::new(),
            reign,
            serial: 0,
            idle: HashMap::new(),
            ages: Ages::default(),
            by_worker: HashMap::new(),
            running,
            notes: Notes::default(),
        }
    }

    pub(crate) fn next_hold(&mut self) -> Hold {
        self.serial += 1;
        Hold { reign: self.reign, serial: self.serial }
    }

    /// Puts a sandbox that is idle by now where it is found.
    pub(crate) fn add_idle(&mut self, id: SandboxId) {
        let Some(entry) = self.sandboxes.get_mut(&id) else { return };
        entry.place = self.ages.push(id);
        self.idle.entry(Arc::clone(&entry.owned.key)).or_default().push(id);
        self.ages.sweep(&self.sandboxes);
    }

    /// Takes the idle sandbox of a version that was used last.
    pub(crate) fn pop_idle(&mut self, key: &VersionKey) -> Option<SandboxId> {
        let stack = self.idle.get_mut(key)?;
        let id = stack.pop()?;
        if stack.is_empty() {
            self.idle.remove(key);
        }
        self.ages.leave();
        Some(id)
    }

    /// Takes a sandbox that was idle out of where it is found.
    pub(crate) fn forget_idle(&mut self, key: &VersionKey, id: SandboxId) {
        self.ages.leave();
        if let Some(stack) = self.idle.get_mut(key) {
            stack.retain(|i| *i != id);
            if stack.is_empty() {
                self.idle.remove(key);
            }
        }
    }

    /// The idle ones of all versions, the longest idle first.
    pub(crate) fn by_age(&self) -> impl Iterator<Item = (SandboxId, &Entry)> {
        self.ages.iter(&self.sandboxes)
    }

    /// The idle ones of a version, most recently used last.
    pub fn idle_of(&self, key: &VersionKey) -> &[SandboxId] {
        self.idle.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// A sandbox turned out to be there.
    pub(crate) fn set_worker(&mut self, id: SandboxId, worker: WorkerId) {
        if let Some(entry) = self.sandboxes.get_mut(&id)
            && let before = entry.owned.worker.replace(worker)
            && before != Some(worker)
        {
            self.leave_worker(id, before);
            self.by_worker.entry(worker).or_default().insert(id);
        }
    }

    fn leave_worker(&mut self, id: SandboxId, worker: Option<WorkerId>) {
        let Some(worker) = worker else { return };
        if let Some(there) = self.by_worker.get_mut(&worker) {
            there.remove(&id);
            if there.is_empty() {
                self.by_worker.remove(&worker);
            }
        }
    }

    pub(crate) fn insert(&mut self, id: SandboxId, entry: Entry) {
        if let Some(worker) = entry.owned.worker {
            self.by_worker.entry(worker).or_default().insert(id);
        }
        self.sandboxes.insert(id, entry);
    }

    /// Takes a sandbox out, whatever it was doing; its invocation ends, if it had one.
    pub(crate) fn remove(&mut self, id: SandboxId) -> Option<Entry> {
        let entry = self.sandboxes.remove(&id)?;
        self.leave_worker(id, entry.owned.worker);
        if entry.state == SandboxState::Idle {
            self.forget_idle(&entry.owned.key, id);
        }
        if entry.has_event() {
            self.end_invocation(&entry.owned.key, &entry.account);
        }
        Some(entry)
    }

    /// Counts an invocation that nobody asked about.
    pub(crate) fn has_begun(&mut self, key: &Arc<VersionKey>, account: &Account) {
        account.has_begun();
        self.notes.add(key, true);
    }

    pub(crate) fn end_invocation(&mut self, key: &Arc<VersionKey>, account: &Account) {
        account.ended();
        self.notes.add(key, false);
    }
}
