//! The table of sandboxes: plain data and its transitions, no I/O. Its lock is
//! held for microseconds and never across an await.

use hearth_planner::IdleSandbox;
use hearth_services::assignment::{Disposition, SandboxInfo, SandboxState};
use hearth_types::{
    AccountId, FunctionVersion, MemoryMb, RevisionId, Room, SandboxId, StartKind, Timestamp,
    VersionKey, WorkerId,
};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// One sandbox.
struct Entry {
    key: VersionKey,
    memory: MemoryMb,
    room: Room,
    /// Unknown while it starts.
    worker: Option<WorkerId>,
    state: SandboxState,
    /// Its version is no more: it dies when it is released.
    retired: bool,
    created: Timestamp,
    last_used: Instant,
    last_used_at: Timestamp,
    invocations: u64,
}

/// Every sandbox, and how many invocations each account has running.
pub(crate) struct Table {
    sandboxes: HashMap<SandboxId, Entry>,
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
    Warm(SandboxId, WorkerId),
    /// None idle; this one is noted as starting.
    Start(SandboxId),
    /// The account may not run another.
    OverConcurrency,
}

impl Table {
    pub(crate) fn new(running_max: usize) -> Self {
        Self {
            sandboxes: HashMap::new(),
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
        let running = self.running.entry(version.key.account.clone()).or_default();
        if *running >= self.running_max {
            return Begin::OverConcurrency;
        }
        *running += 1;
        if quickest == StartKind::Warm
            && let Some(id) = self.pop_idle(&version.key)
            && let Some(entry) = self.sandboxes.get_mut(&id)
            && let Some(worker) = entry.worker
        {
            entry.state = SandboxState::Busy;
            entry.touch(now);
            return Begin::Warm(id, worker);
        }
        let id = SandboxId::new();
        self.sandboxes.insert(id, Entry::starting(version, now));
        Begin::Start(id)
    }

    /// A starting sandbox exists now and belongs to the invocation that began it.
    pub(crate) fn started(&mut self, id: SandboxId, worker: WorkerId) {
        if let Some(entry) = self.sandboxes.get_mut(&id) {
            entry.worker = Some(worker);
            entry.state = SandboxState::Busy;
            entry.invocations = 1;
        }
    }

    /// A starting sandbox came to nothing; its invocation ends.
    pub(crate) fn start_failed(&mut self, id: SandboxId) {
        if let Some(entry) = self.sandboxes.remove(&id) {
            self.end_invocation(&entry.key.account);
        }
    }

    /// Ends an invocation. Returns the worker if the sandbox must be killed.
    pub(crate) fn release(
        &mut self,
        id: SandboxId,
        disposition: Disposition,
        now: Instant,
    ) -> Option<WorkerId> {
        let entry = self.sandboxes.get_mut(&id)?;
        if entry.state != SandboxState::Busy {
            return None;
        }
        let account = entry.key.account.clone();
        let doomed = if disposition == Disposition::Discard || entry.retired {
            self.sandboxes.remove(&id).and_then(|e| e.worker)
        } else {
            entry.state = SandboxState::Idle;
            entry.last_used = now;
            entry.last_used_at = Timestamp::now();
            let key = entry.key.clone();
            self.idle.entry(key).or_default().push(id);
            None
        };
        self.end_invocation(&account);
        doomed
    }

    /// Declares every revision but `current` of a version obsolete (`None`: all,
    /// the version is deleted). Returns the idle ones, removed, to be killed.
    pub(crate) fn retire(
        &mut self,
        is_version: impl Fn(&VersionKey) -> bool,
        current: Option<RevisionId>,
    ) -> Vec<(SandboxId, WorkerId)> {
        for entry in self.sandboxes.values_mut() {
            if is_version(&entry.key) && Some(entry.key.revision) != current {
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
        self.remove_idle(|e| now.duration_since(e.last_used) >= keep_alive)
    }

    /// Removes these sandboxes if they are still idle.
    pub(crate) fn evict(&mut self, ids: &[SandboxId]) -> Vec<(SandboxId, WorkerId)> {
        let mut gone = Vec::new();
        for id in ids {
            if self.sandboxes.get(id).is_some_and(|e| e.state == SandboxState::Idle)
                && let Some(entry) = self.sandboxes.remove(id)
            {
                self.forget_idle(&entry.key, *id);
                gone.extend(entry.worker.map(|w| (*id, w)));
            }
        }
        gone
    }

    /// Empties the table; for shutdown.
    pub(crate) fn take_all(&mut self) -> Vec<(SandboxId, WorkerId)> {
        self.idle.clear();
        self.running.clear();
        self.sandboxes.drain().filter_map(|(id, e)| e.worker.map(|w| (id, w))).collect()
    }

    /// The idle ones, for the planner; each frees `overhead` beyond its function's
    /// own.
    pub(crate) fn idle(&self, overhead: Room) -> Vec<IdleSandbox> {
        self.sandboxes
            .iter()
            .filter(|(_, e)| e.state == SandboxState::Idle)
            .map(|(id, e)| IdleSandbox {
                id: *id,
                frees: e.room.plus(overhead),
                last_used: e.last_used.duration_since(self.epoch).as_nanos() as u64,
            })
            .collect()
    }

    /// One account's sandboxes, oldest first.
    pub(crate) fn list(&self, account: &AccountId) -> Vec<SandboxInfo> {
        let mut list: Vec<SandboxInfo> = self
            .sandboxes
            .iter()
            .filter(|(_, e)| e.key.account == *account)
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
        let mut keys: Vec<VersionKey> = self.sandboxes.values().map(|e| e.key.clone()).collect();
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
    fn starting(version: &FunctionVersion, now: Instant) -> Self {
        Self {
            key: version.key.clone(),
            memory: version.memory,
            room: version.room(),
            worker: None,
            state: SandboxState::Starting,
            retired: false,
            created: Timestamp::now(),
            last_used: now,
            last_used_at: Timestamp::now(),
            invocations: 0,
        }
    }

    fn touch(&mut self, now: Instant) {
        self.last_used = now;
        self.last_used_at = Timestamp::now();
        self.invocations += 1;
    }

    fn info(&self, id: SandboxId) -> SandboxInfo {
        SandboxInfo {
            id,
            worker: self.worker,
            function: self.key.function.clone(),
            version: self.key.version,
            memory: self.memory,
            state: self.state,
            created: self.created,
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
        let Begin::Start(id) = table.begin(version, StartKind::Warm, Instant::now()) else {
            panic!("warm?")
        };
        table.started(id, WorkerId::new());
        assert!(table.release(id, Disposition::Reusable, Instant::now()).is_none());
        id
    }

    #[test]
    fn a_busy_sandbox_is_never_handed_out_again() {
        let mut table = Table::new(10);
        let version = test_version(ACCOUNT, RevisionId::new());
        let id = make_idle(&mut table, &version);
        assert!(
            matches!(table.begin(&version, StartKind::Warm, Instant::now()), Begin::Warm(i, _) if i == id)
        );
        assert!(
            matches!(table.begin(&version, StartKind::Warm, Instant::now()), Begin::Start(i) if i != id)
        );
    }

    #[test]
    fn another_revision_or_account_never_gets_it() {
        let mut table = Table::new(10);
        let revision = RevisionId::new();
        make_idle(&mut table, &test_version(ACCOUNT, revision));
        let updated = test_version(ACCOUNT, RevisionId::new());
        assert!(matches!(table.begin(&updated, StartKind::Warm, Instant::now()), Begin::Start(_)));
        let foreign = test_version("222222222222", revision);
        assert!(matches!(table.begin(&foreign, StartKind::Warm, Instant::now()), Begin::Start(_)));
    }

    #[test]
    fn a_discarded_or_retired_sandbox_is_killed_not_kept() {
        let mut table = Table::new(10);
        let version = test_version(ACCOUNT, RevisionId::new());
        let id = make_idle(&mut table, &version);
        table.begin(&version, StartKind::Warm, Instant::now());
        assert!(table.retire(|k| *k == version.key, None).is_empty(), "it is busy");
        assert!(table.release(id, Disposition::Reusable, Instant::now()).is_some());
        let id = make_idle(&mut table, &version);
        table.begin(&version, StartKind::Warm, Instant::now());
        assert!(table.release(id, Disposition::Discard, Instant::now()).is_some());
        assert!(table.list(&version.key.account).is_empty());
    }

    #[test]
    fn concurrency_is_bounded_per_account_and_given_back() {
        let mut table = Table::new(1);
        let version = test_version(ACCOUNT, RevisionId::new());
        let Begin::Start(id) = table.begin(&version, StartKind::Warm, Instant::now()) else {
            panic!()
        };
        assert!(matches!(
            table.begin(&version, StartKind::Warm, Instant::now()),
            Begin::OverConcurrency
        ));
        let other = test_version("222222222222", RevisionId::new());
        assert!(matches!(table.begin(&other, StartKind::Warm, Instant::now()), Begin::Start(_)));
        table.start_failed(id);
        assert!(matches!(table.begin(&version, StartKind::Warm, Instant::now()), Begin::Start(_)));
    }

    #[test]
    fn a_second_release_changes_nothing() {
        let mut table = Table::new(1);
        let version = test_version(ACCOUNT, RevisionId::new());
        let id = make_idle(&mut table, &version);
        assert!(table.release(id, Disposition::Discard, Instant::now()).is_none());
        assert!(
            matches!(table.begin(&version, StartKind::Warm, Instant::now()), Begin::Warm(i, _) if i == id)
        );
    }
}
