//! What is counted during a run.

use crate::random::mixed;
use hearth_types::{SandboxId, StartKind};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Waits are counted by the millisecond; longer ones count as this.
const WAIT_MAX_MS: usize = 60_000;

/// Counts, and sums over time.
pub(crate) struct Figures {
    counted_from_ms: u64,
    now_ms: u64,
    pub(crate) calls: u64,
    pub(crate) warm: u64,
    pub(crate) restored: u64,
    pub(crate) cold: u64,
    pub(crate) refused: u64,
    pub(crate) retries: u64,
    pub(crate) lost_events: u64,
    pub(crate) lost_idle: u64,
    /// Events whose sandbox was another's when they came.
    pub(crate) passed_over: u64,
    /// Calls that came while nobody led their partition, each time they tried.
    pub(crate) unled: u64,
    /// Orders and events of deposed leaders that were refused.
    pub(crate) disobeyed: u64,
    pub(crate) leaders_lost: u64,
    pub(crate) inherited: u64,
    pub(crate) ahead: u64,
    pub(crate) evicted: u64,
    pub(crate) refused_by_workers: u64,
    pub(crate) failed_creates: u64,
    pub(crate) decisions: u64,
    pub(crate) died: u64,
    pub(crate) replaced: u64,
    pub(crate) gained: u64,
    pub(crate) lost: u64,
    waits: Vec<u64>,
    /// Of those that found no idle sandbox.
    start_waits: Vec<u64>,
    /// MiB in sandboxes now, and of it in idle ones.
    pub(crate) taken_mib: u64,
    pub(crate) idle_mib: u64,
    taken_over_time: u128,
    idle_over_time: u128,
    /// One for each sample.
    pub(crate) zone_gaps: Vec<u64>,
    pub(crate) worker_gaps: Vec<u64>,
    pub(crate) fills: Vec<u64>,
    digest: u64,
}

impl Figures {
    pub(crate) fn new(counted_from_ms: u64) -> Self {
        Self {
            counted_from_ms,
            now_ms: 0,
            calls: 0,
            warm: 0,
            restored: 0,
            cold: 0,
            refused: 0,
            retries: 0,
            lost_events: 0,
            lost_idle: 0,
            passed_over: 0,
            unled: 0,
            disobeyed: 0,
            leaders_lost: 0,
            inherited: 0,
            ahead: 0,
            evicted: 0,
            refused_by_workers: 0,
            failed_creates: 0,
            decisions: 0,
            died: 0,
            replaced: 0,
            gained: 0,
            lost: 0,
            waits: vec![0; WAIT_MAX_MS + 1],
            start_waits: vec![0; WAIT_MAX_MS + 1],
            taken_mib: 0,
            idle_mib: 0,
            taken_over_time: 0,
            idle_over_time: 0,
            zone_gaps: Vec::new(),
            worker_gaps: Vec::new(),
            fills: Vec::new(),
            digest: 0,
        }
    }

    pub(crate) fn counts(&self) -> bool {
        self.now_ms >= self.counted_from_ms
    }

    /// Time passes with what there is.
    pub(crate) fn pass(&mut self, now_ms: u64) {
        assert!(now_ms >= self.now_ms, "time goes forward");
        if self.counts() {
            let passed = u128::from(now_ms - self.now_ms);
            self.taken_over_time += passed * u128::from(self.taken_mib);
            self.idle_over_time += passed * u128::from(self.idle_mib);
        }
        self.now_ms = now_ms;
    }

    /// A call begins to run, after a wait.
    pub(crate) fn began(&mut self, start: StartKind, wait_ms: u64) {
        if !self.counts() {
            return;
        }
        match start {
            StartKind::Warm => self.warm += 1,
            StartKind::Restored => self.restored += 1,
            _ => self.cold += 1,
        }
        let wait = (wait_ms as usize).min(WAIT_MAX_MS);
        self.waits[wait] += 1;
        self.start_waits[wait] += u64::from(start != StartKind::Warm);
    }

    /// One more of something, if it counts.
    pub(crate) fn one(&mut self, of: fn(&mut Self) -> &mut u64) {
        if self.counts() {
            *of(self) += 1;
        }
    }

    /// Something happened, to these: a run that differs anywhere has another digest.
    pub(crate) fn happened(&mut self, what: u64, to: u64) {
        self.digest = mixed(self.digest ^ mixed(self.now_ms ^ mixed(what ^ mixed(to))));
    }

    pub(crate) fn happened_to(&mut self, what: u64, sandbox: SandboxId) {
        // Of fixed keys, so it is the same in each run.
        let mut hasher = DefaultHasher::new();
        sandbox.hash(&mut hasher);
        self.happened(what, hasher.finish());
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn idle_share_per_mille(&self) -> u64 {
        (self.idle_over_time * 1_000 / self.taken_over_time.max(1)) as u64
    }

    /// The wait that so many in a thousand calls did not exceed.
    pub(crate) fn wait_ms(&self, per_mille: u64) -> u64 {
        percentile(&self.waits, per_mille)
    }

    /// And of those that found no idle sandbox.
    pub(crate) fn start_wait_ms(&self, per_mille: u64) -> u64 {
        percentile(&self.start_waits, per_mille)
    }
}

fn percentile(counts: &[u64], per_mille: u64) -> u64 {
    let all: u64 = counts.iter().sum();
    let rank = (all * per_mille).div_ceil(1_000).max(1);
    let mut so_far = 0;
    let found = counts.iter().position(|count| {
        so_far += count;
        so_far >= rank
    });
    found.unwrap_or_default() as u64
}
