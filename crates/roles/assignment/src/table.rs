//! The table of sandboxes: plain data and its transitions, no I/O. Its lock is
//! held for microseconds and never across an await.

use crate::ledger::Owned;
use hearth_planner::IdleSandbox;
use hearth_services::assignment::{Disposition, SandboxInfo, SandboxState};
use hearth_types::{
    AccountId, FunctionVersion, Hold, Reign, RevisionId, Room, SandboxId, StartKind, Timestamp,
    VersionKey, WorkerId,
};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// One sandbox.
pub(crate) struct Entry {
    pub(crate) id: SandboxId,
    pub(crate) owned: Owned,
    pub(crate) state: SandboxState,
    /// Whose it is, or was last. None of a sandbox that an earlier leader began and no
    /// worker has told of.
    pub(crate) hold: Option<Hold>,
    /// How often its worker said that it runs nothing, while it is busy here.
    pub(crate) quiet: u8,
    /// Since when it is what it is.
    pub(crate) since: Instant,
    /// Its version is no more: it dies when it is released.
    retired: bool,
    last_used_at: Timestamp,
    invocations: u64,
}

/// Every sandbox, and how many invocations each account has running.
pub(crate) struct Table {
    pub(crate) sandboxes: HashMap<SandboxId, Entry>,
    reign: Reign,
    /// Of the last hold.
    serial: u64,
    /// Idle ones by version, most recently used last: the warmest serves next,
    /// and the others grow old enough to be reaped.
    idle: HashMap<VersionKey, Vec<SandboxId>>,
    running: HashMap<AccountId, usize>,
    running_max: usize,
    epoch: Instant,
}

/// What `begin` found.
pub(crate) enum Begin {
    /// An idle sandbox; it is busy now.
    Warm(SandboxId, WorkerId, Hold),
    /// None idle; this one is noted as starting.
    Start(SandboxId, Hold),
    /// The account may not run another.
    OverConcurrency,
}

impl Table {
    pub(crate) fn new(reign: Reign, running_max: usize) -> Self {
        Self {
            sandboxes: HashMap::new(),
            reign,
            serial: 0,
            idle: HashMap::new(),
            running: HashMap::new(),
            running_max,
            epoch: Instant::now(),
        }
    }

    /// Begins an invocation: counts it, and finds or notes its sandbox.
    pub(crate) fn begin(
        &mut self,
        version: &FunctionVersion,
        quickest: StartKind,
        now: Instant,
    ) -> Begin {
        if quickest == StartKind::Warm
            && let Some((id, worker, hold)) = self.begin_idle(&version.key, now)
        {
            return Begin::Warm(id, worker, hold);
        }
        let running = self.running.entry(version.key.account.clone()).or_default();
        if *running >= self.running_max {
            return Begin::OverConcurrency;
        }
        *running += 1;
        self.serial += 1;
        let hold = Hold { reign: self.reign, serial: self.serial };
        let id = SandboxId::new();
        self.sandboxes.insert(id, Entry::starting(id, version, hold, now));
        Begin::Start(id, hold)
    }

    /// Begins an invocation if a sandbox is idle for it and its account may run another.
    pub(crate) fn begin_idle(
        &mut self,
        version: &VersionKey,
        now: Instant,
    ) -> Option<(SandboxId, WorkerId, Hold)> {
        let running = self.running.get(&version.account).copied().unwrap_or_default();
        if running >= self.running_max {
            return None;
        }
        let id = self.pop_idle(version)?;
        let entry = self.sandboxes.get_mut(&id)?;
        let worker = entry.owned.worker?;
        self.serial += 1;
        let hold = Hold { reign: self.reign, serial: self.serial };
        entry.become_busy(hold, now);
        *self.running.entry(version.account.clone()).or_default() += 1;
        Some((id, worker, hold))
    }

    /// A starting sandbox exists now and belongs to the invocation that began it.
    pub(crate) fn started(&mut self, id: SandboxId, worker: WorkerId, now: Instant) {
        if let Some(entry) = self.sandboxes.get_mut(&id) {
            entry.owned.worker = Some(worker);
            entry.state = SandboxState::Busy;
            entry.since = now;
            entry.invocations = 1;
        }
    }

    /// A starting sandbox came to nothing; its invocation ends.
    pub(crate) fn start_failed(&mut self, id: SandboxId) {
        if let Some(entry) = self.sandboxes.remove(&id) {
            self.end_invocation(&entry.owned.key.account);
        }
    }

    /// Ends an invocation. Returns the worker if the sandbox must be killed.
    pub(crate) fn release(
        &mut self,
        id: SandboxId,
        hold: Hold,
        disposition: Disposition,
        now: Instant,
    ) -> Option<WorkerId> {
        let entry = self.sandboxes.get_mut(&id)?;
        if entry.state != SandboxState::Busy || entry.hold != Some(hold) {
            return None;
        }
        let account = entry.owned.key.account.clone();
        let doomed = if disposition != Disposition::Reusable || entry.retired {
            self.sandboxes.remove(&id).and_then(|e| e.owned.worker)
        } else {
            entry.become_idle(now);
            let key = entry.owned.key.clone();
            self.idle.entry(key).or_default().push(id);
            None
        };
        self.end_invocation(&account);
        doomed
    }

    /// Removes a sandbox that is no more, whatever it was doing.
    pub(crate) fn forget(&mut self, id: SandboxId) {
        let Some(entry) = self.sandboxes.remove(&id) else { return };
        match entry.state {
            SandboxState::Idle => self.forget_idle(&entry.owned.key, id),
            SandboxState::Busy => self.end_invocation(&entry.owned.key.account),
            SandboxState::Starting => {}
        }
    }

    /// Takes on a sandbox that an earlier leader began; what it does its worker says.
    pub(crate) fn inherit(&mut self, id: SandboxId, owned: Owned, now: Instant) {
        self.sandboxes.insert(id, Entry::inherited(id, owned, now));
    }

    /// An inherited sandbox, or one whose invocation nobody ended, waits at `worker`. If it
    /// is of a version that is no more, it is forgotten and returned, to be killed.
    pub(crate) fn found_idle(
        &mut self,
        id: SandboxId,
        worker: WorkerId,
        now: Instant,
    ) -> Option<(SandboxId, WorkerId)> {
        let entry = self.sandboxes.get_mut(&id)?;
        let was = entry.state;
        if was == SandboxState::Idle {
            return None;
        }
        if entry.retired {
            self.forget(id);
            return Some((id, worker));
        }
        entry.owned.worker = Some(worker);
        entry.become_idle(now);
        let key = entry.owned.key.clone();
        let account = key.account.clone();
        self.idle.entry(key).or_default().push(id);
        if was == SandboxState::Busy {
            self.end_invocation(&account);
        }
        None
    }

    /// A sandbox that is not busy here runs an event at `worker`.
    pub(crate) fn found_busy(
        &mut self,
        id: SandboxId,
        worker: WorkerId,
        hold: Option<Hold>,
        now: Instant,
    ) {
        let Some(entry) = self.sandboxes.get_mut(&id) else { return };
        let key = entry.owned.key.clone();
        entry.owned.worker = Some(worker);
        let was = std::mem::replace(&mut entry.state, SandboxState::Busy);
        entry.hold = hold;
        entry.quiet = 0;
        entry.since = now;
        if was == SandboxState::Idle {
            self.forget_idle(&key, id);
        }
        if was != SandboxState::Busy {
            *self.running.entry(key.account).or_default() += 1;
        }
    }

    /// What the journal is told of one.
    pub(crate) fn owned_of(&self, id: SandboxId) -> Option<Owned> {
        self.sandboxes.get(&id).map(|entry| entry.owned.clone())
    }

    /// What a checkpoint keeps.
    pub(crate) fn owned(&self) -> Vec<(SandboxId, Owned)> {
        self.sandboxes.iter().map(|(id, entry)| (*id, entry.owned.clone())).collect()
    }

    /// Declares every revision but `current` of a version obsolete (`None`: all,
    /// the version is deleted). Returns the idle ones, removed, to be killed.
    pub(crate) fn retire(
        &mut self,
        is_version: impl Fn(&VersionKey) -> bool,
        current: Option<RevisionId>,
    ) -> Vec<(SandboxId, WorkerId)> {
        for entry in self.sandboxes.values_mut() {
            if is_version(&entry.owned.key) && Some(entry.owned.key.revision) != current {
                entry.retired = true;
            }
        }
        self.remove_idle(|e| e.retired)
    }

    /// Removes what has been idle since before `now - keep_alive`.
    pub(crate) fn expire(
        &mut self,
        now: Instant,
        keep_alive: Duration,
    ) -> Vec<(SandboxId, WorkerId)> {
        self.remove_idle(|e| now.duration_since(e.since) >= keep_alive)
    }

    /// The workers on which something is idle.
    pub(crate) fn idle_workers(&self) -> HashSet<WorkerId> {
        let idle = self.sandboxes.values().filter(|e| e.state == SandboxState::Idle);
        idle.filter_map(|e| e.owned.worker).collect()
    }

    /// Removes what is idle on these workers.
    pub(crate) fn drain(&mut self, workers: &HashSet<WorkerId>) -> Vec<(SandboxId, WorkerId)> {
        self.remove_idle(|e| e.owned.worker.is_some_and(|worker| workers.contains(&worker)))
    }

    /// Removes these sandboxes if they are still idle.
    pub(crate) fn evict(&mut self, ids: &[SandboxId]) -> Vec<(SandboxId, WorkerId)> {
        let mut gone = Vec::new();
        for id in ids {
            if self.sandboxes.get(id).is_some_and(|e| e.state == SandboxState::Idle)
                && let Some(entry) = self.sandboxes.remove(id)
            {
                self.forget_idle(&entry.owned.key, *id);
                gone.extend(entry.owned.worker.map(|w| (*id, w)));
            }
        }
        gone
    }

    /// Empties the table; for shutdown.
    pub(crate) fn take_all(&mut self) -> Vec<(SandboxId, WorkerId)> {
        self.idle.clear();
        self.running.clear();
        self.sandboxes.drain().filter_map(|(id, e)| e.owned.worker.map(|w| (id, w))).collect()
    }

    /// The idle ones, for the planner; each frees `overhead` beyond its function's
    /// own.
    pub(crate) fn idle(&self, overhead: Room) -> Vec<IdleSandbox> {
        self.sandboxes
            .iter()
            .filter(|(_, e)| e.state == SandboxState::Idle)
            .map(|(id, e)| IdleSandbox {
                id: *id,
                frees: e.owned.room.plus(overhead),
                last_used: e.since.duration_since(self.epoch).as_nanos() as u64,
            })
            .collect()
    }

    /// One account's sandboxes, oldest first.
    pub(crate) fn list(&self, account: &AccountId) -> Vec<SandboxInfo> {
        let mut list: Vec<SandboxInfo> = self
            .sandboxes
            .iter()
            .filter(|(_, e)| e.owned.key.account == *account)
            .map(|(id, e)| e.info(*id))
            .collect();
        list.sort_by_key(|s| (s.created, s.id));
        list
    }

    /// How many there are of each state.
    pub(crate) fn count(&self) -> [usize; SandboxState::ALL.len()] {
        let count = |state| self.sandboxes.values().filter(|e| e.state == state).count();
        SandboxState::ALL.map(count)
    }

    /// Every version that has a sandbox.
    pub(crate) fn versions(&self) -> Vec<VersionKey> {
        let mut keys: Vec<VersionKey> =
            self.sandboxes.values().map(|e| e.owned.key.clone()).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    fn remove_idle(&mut self, doomed: impl Fn(&Entry) -> bool) -> Vec<(SandboxId, WorkerId)> {
        let ids: Vec<SandboxId> = self
            .sandboxes
            .iter()
            .filter(|(_, e)| e.state == SandboxState::Idle && doomed(e))
            .map(|(id, _)| *id)
            .collect();
        self.evict(&ids)
    }

    fn pop_idle(&mut self, key: &VersionKey) -> Option<SandboxId> {
        let stack = self.idle.get_mut(key)?;
        let id = stack.pop();
        if stack.is_empty() {
            self.idle.remove(key);
        }
        id
    }

    fn forget_idle(&mut self, key: &VersionKey, id: SandboxId) {
        if let Some(stack) = self.idle.get_mut(key) {
            stack.retain(|i| *i != id);
            if stack.is_empty() {
                self.idle.remove(key);
            }
        }
    }

    fn end_invocation(&mut self, account: &AccountId) {
        if let Some(running) = self.running.get_mut(account) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(account);
            }
        }
    }
}

impl Entry {
    fn starting(id: SandboxId, version: &FunctionVersion, hold: Hold, now: Instant) -> Self {
        let owned = Owned {
            key: version.key.clone(),
            memory: version.memory,
            room: version.room(),
            created: Timestamp::now(),
            worker: None,
        };
        Self { hold: Some(hold), ..Self::inherited(id, owned, now) }
    }

    fn inherited(id: SandboxId, owned: Owned, now: Instant) -> Self {
        Self {
            id,
            owned,
            state: SandboxState::Starting,
            hold: None,
            quiet: 0,
            since: now,
            retired: false,
            last_used_at: Timestamp::now(),
            invocations: 0,
        }
    }

    fn become_busy(&mut self, hold: Hold, now: Instant) {
        self.state = SandboxState::Busy;
        self.hold = Some(hold);
        self.quiet = 0;
        self.since = now;
        self.last_used_at = Timestamp::now();
        self.invocations += 1;
    }

    fn become_idle(&mut self, now: Instant) {
        self.state = SandboxState::Idle;
        self.since = now;
        self.last_used_at = Timestamp::now();
    }

    fn info(&self, id: SandboxId) -> SandboxInfo {
        SandboxInfo {
            id,
            worker: self.owned.worker,
            function: self.owned.key.function.clone(),
            version: self.owned.key.version,
            memory: self.owned.memory,
            state: self.state,
            created: self.owned.created,
            last_used: self.last_used_at,
            invocations: self.invocations,
        }
    }
}

/// Shared by tests of this crate.
#[cfg(test)]
pub(crate) fn test_version(account: &str, revision: RevisionId) -> FunctionVersion {
    use hearth_types::*;
    let key = VersionKey {
        account: account.parse().unwrap(),
        function: "f".parse().unwrap(),
        version: Version::Latest,
        revision,
    };
    let code = CodeLocation {
        zip_sha256_base64: String::new(),
        zip_bytes: 0,
        zip_file: String::new(),
        image_file: String::new(),
        image_bytes: 0,
    };
    let (region, handler) = ("local".to_owned(), "a.b".to_owned());
    FunctionVersion::with_defaults(key, region, Runtime::Python313, handler, code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "111111111111";

    fn make_idle(table: &mut Table, version: &FunctionVersion) -> SandboxId {
        let Begin::Start(id, hold) = table.begin(version, StartKind::Warm, Instant::now()) else {
            panic!("warm?")
        };
        table.started(id, WorkerId::new(), Instant::now());
        assert!(table.release(id, hold, Disposition::Reusable, Instant::now()).is_none());
        id
    }

    /// Has it serve once more.
    fn busy(table: &mut Table, version: &FunctionVersion) -> Hold {
        match table.begin(version, StartKind::Warm, Instant::now()) {
            Begin::Warm(_, _, hold) => hold,
            _ => panic!("none is idle"),
        }
    }

    #[test]
    fn a_busy_sandbox_is_never_handed_out_again() {
        let mut table = Table::new(Reign::ALONE, 10);
        let version = test_version(ACCOUNT, RevisionId::new());
        let id = make_idle(&mut table, &version);
        assert!(
            matches!(table.begin(&version, StartKind::Warm, Instant::now()), Begin::Warm(i, _, _) if i == id)
        );
        assert!(
            matches!(table.begin(&version, StartKind::Warm, Instant::now()), Begin::Start(i, _) if i != id)
        );
    }

    #[test]
    fn another_revision_or_account_never_gets_it() {
        let mut table = Table::new(Reign::ALONE, 10);
        let revision = RevisionId::new();
        make_idle(&mut table, &test_version(ACCOUNT, revision));
        let updated = test_version(ACCOUNT, RevisionId::new());
        assert!(matches!(table.begin(&updated, StartKind::Warm, Instant::now()), Begin::Start(..)));
        let foreign = test_version("222222222222", revision);
        assert!(matches!(table.begin(&foreign, StartKind::Warm, Instant::now()), Begin::Start(..)));
    }

    #[test]
    fn a_discarded_or_retired_sandbox_is_killed_not_kept() {
        let mut table = Table::new(Reign::ALONE, 10);
        let version = test_version(ACCOUNT, RevisionId::new());
        let id = make_idle(&mut table, &version);
        let hold = busy(&mut table, &version);
        assert!(table.retire(|k| *k == version.key, None).is_empty(), "it is busy");
        assert!(table.release(id, hold, Disposition::Reusable, Instant::now()).is_some());
        let id = make_idle(&mut table, &version);
        let hold = busy(&mut table, &version);
        assert!(table.release(id, hold, Disposition::Discard, Instant::now()).is_some());
        assert!(table.list(&version.key.account).is_empty());
    }

    #[test]
    fn concurrency_is_bounded_per_account_and_given_back() {
        let mut table = Table::new(Reign::ALONE, 1);
        let version = test_version(ACCOUNT, RevisionId::new());
        let Begin::Start(id, _) = table.begin(&version, StartKind::Warm, Instant::now()) else {
            panic!()
        };
        assert!(matches!(
            table.begin(&version, StartKind::Warm, Instant::now()),
            Begin::OverConcurrency
        ));
        let other = test_version("222222222222", RevisionId::new());
        assert!(matches!(table.begin(&other, StartKind::Warm, Instant::now()), Begin::Start(..)));
        table.start_failed(id);
        assert!(matches!(table.begin(&version, StartKind::Warm, Instant::now()), Begin::Start(..)));
    }

    #[test]
    fn a_second_release_changes_nothing() {
        let mut table = Table::new(Reign::ALONE, 1);
        let version = test_version(ACCOUNT, RevisionId::new());
        let id = make_idle(&mut table, &version);
        let first = busy(&mut table, &version);
        assert!(table.release(id, first, Disposition::Reusable, Instant::now()).is_none());
        assert!(table.release(id, first, Disposition::Discard, Instant::now()).is_none());
        // Nor does one that comes when another has it.
        let second = busy(&mut table, &version);
        assert!(table.release(id, first, Disposition::Discard, Instant::now()).is_none());
        assert!(table.release(id, second, Disposition::Reusable, Instant::now()).is_none());
        assert!(
            matches!(table.begin(&version, StartKind::Warm, Instant::now()), Begin::Warm(i, _, _) if i == id)
        );
    }
}
