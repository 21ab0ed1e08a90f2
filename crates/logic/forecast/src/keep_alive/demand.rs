//! How many sandboxes of one function there should be.
//!
//! Events that overlap need a sandbox each, and the most recently used idle one takes
//! the next. So the first sandbox is used whenever anything runs, the fifth only when
//! five events overlap: each has gaps of its own, and is kept by its own.
//!
//! ```text
//!  overlapping  3 │      ▄                          ▄
//!  events       2 │   ▄▄▄█▄▄              ▄▄▄     ▄▄█▄
//!               1 │▄▄▄██████▄▄▄▄  ▄▄▄▄  ▄▄███▄▄  ▄█████▄▄
//!                 └─────────────────────────────────────────►
//!    gaps of 1              ├──┤  ├──┤      ├──┤
//!    gaps of 3           ├──────────────────────────┤
//! ```

use super::arrivals::{Arrivals, FADE_AFTER};
use super::policy::{Fallback, Policy, Rule};
use super::prices::{Prices, REPRICE_AFTER};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Sandboxes of one function whose gaps are remembered: more than an account may have
/// busy at once. Any beyond are kept for nothing, and dropped when idle.
pub const LEVELS_MAX: usize = 1024;

/// Before so many events have ended, no price is asked for: there are too few gaps.
const GAPS_MIN: u64 = 4;

/// A gap counts for nothing after four halvings.
const FORGET_AFTER: Duration = FADE_AFTER.saturating_mul(4);

/// One function's sandboxes. Takes at most [`BYTES_MAX`](Self::BYTES_MAX) for each event
/// that overlapped with others lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionDemand {
    rule: Rule,
    fallback: Fallback,
    /// The rule at this function's price, and since when.
    prices: Prices,
    priced_at: Duration,
    /// Events that have ended: with twice as many more is known than before.
    events: u64,
    /// Events that run. A restarted process has to be told.
    #[serde(skip)]
    busy: usize,
    /// By how many run beside it.
    levels: Vec<Level>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Level {
    arrivals: Arrivals,
    /// Of the gap that is now.
    policy: Policy,
}

impl Level {
    fn idle(&self, now: Duration) -> Option<Duration> {
        self.arrivals.last().map(|last| now.saturating_sub(last))
    }

    fn holds(&self, now: Duration) -> bool {
        self.idle(now).is_some_and(|idle| self.policy.holds(idle))
    }
}

impl FunctionDemand {
    /// The most memory that each level takes.
    pub const BYTES_MAX: usize = Arrivals::BYTES_MAX + size_of::<Policy>();

    /// A function that has not run yet.
    pub fn new(rule: Rule) -> Self {
        Self::with(rule, Fallback::default())
    }

    /// One that has another time to fall back on than [`STANDARD_KEEP_ALIVE`], and is not to
    /// be worse than with that.
    ///
    /// [`STANDARD_KEEP_ALIVE`]: super::STANDARD_KEEP_ALIVE
    pub fn with(rule: Rule, fallback: Fallback) -> Self {
        Self {
            rule,
            fallback,
            prices: Prices::of_new(rule, fallback),
            priced_at: Duration::ZERO,
            events: 0,
            busy: 0,
            levels: Vec::new(),
        }
    }

    /// From its next gaps on, goes by another rule.
    pub fn set_rule(&mut self, rule: Rule) {
        self.rule = rule;
        self.priced_at = Duration::ZERO;
    }

    /// An event begins.
    pub fn began(&mut self, now: Duration) {
        let busy = self.busy;
        self.busy = busy.saturating_add(1);
        if busy >= LEVELS_MAX {
            return;
        }
        while self.levels.len() <= busy {
            let arrivals = Arrivals::default();
            let policy = self.prices.policy(self.levels.len(), &arrivals);
            self.levels.push(Level { arrivals, policy });
        }
        self.levels[busy].arrivals.note(now);
    }

    /// An event has ended.
    pub fn ended(&mut self, now: Duration) {
        self.busy = self.busy.saturating_sub(1);
        self.events += 1;
        let is_old = now.saturating_sub(self.priced_at) >= REPRICE_AFTER || now < self.priced_at;
        if self.events > GAPS_MIN && (is_old || self.events.is_power_of_two()) {
            let levels: Vec<&Arrivals> = self.levels.iter().map(|level| &level.arrivals).collect();
            self.prices = Prices::find(self.rule, self.fallback, &levels);
            self.priced_at = now;
        }
        if let Some(level) = self.levels.get_mut(self.busy) {
            level.arrivals.ended(now);
            level.policy = self.prices.policy(self.busy, &level.arrivals);
        }
        self.forget(now);
    }

    /// So many events turned out to run, whatever was thought. For a process that took
    /// over from another. Their gaps end now, as nobody knows when they did.
    pub fn found_busy(&mut self, now: Duration, busy: usize) {
        while self.busy < busy.min(LEVELS_MAX) {
            self.began(now);
        }
        while self.busy > busy {
            self.ended(now);
        }
        self.busy = busy;
    }

    /// Events that run.
    pub fn busy(&self) -> usize {
        self.busy
    }

    /// How many sandboxes there should be beside the busy ones. If there are more, the
    /// longest idle go; if there are fewer, that many are to be restored. Whoever took one
    /// away to make room should not restore it before the next change or event.
    pub fn idle_wanted(&self, now: Duration) -> usize {
        self.idle_levels().filter(|level| level.holds(now)).count()
    }

    /// How many of these are there ahead of an event that can be foreseen, and would not be
    /// there otherwise.
    pub fn restores_wanted(&self, now: Duration) -> usize {
        let is_ahead = |level: &&Level| {
            level.idle(now).is_some_and(|idle| {
                let ahead = level.policy.restore.filter(|_| idle >= level.policy.keep_for);
                ahead.is_some_and(|window| window.from <= idle && idle < window.until)
            })
        };
        self.idle_levels().filter(is_ahead).count()
    }

    /// Sandboxes of which it is known what they were used for: more than these there need not
    /// be, whatever is wanted of them now.
    pub fn known(&self) -> usize {
        self.levels.len()
    }

    /// When [`idle_wanted`](Self::idle_wanted) may change though no event begins or ends.
    /// Later than `now`.
    pub fn next_change(&self, now: Duration) -> Option<Duration> {
        let changes = self.idle_levels().filter_map(|level| {
            let idle = level.idle(now)?;
            now.checked_add(level.policy.next_change(idle)?.checked_sub(idle)?)
        });
        changes.filter(|at| *at > now).min()
    }

    /// What the sandbox is kept by that only runs beside `beside` others.
    pub fn policy(&self, beside: usize) -> Option<Policy> {
        self.levels.get(beside).map(|level| level.policy)
    }

    /// Bytes that this takes.
    pub fn bytes(&self) -> usize {
        let levels = self.levels.iter().map(|level| level.arrivals.bytes() + size_of::<Policy>());
        size_of::<Self>() + levels.sum::<usize>()
    }

    fn idle_levels(&self) -> impl Iterator<Item = &Level> {
        self.levels.iter().skip(self.busy)
    }

    /// Drops the last levels if no gap of theirs counts any more, and their policies have
    /// nothing left to do.
    fn forget(&mut self, now: Duration) {
        let used = |level: &Level| {
            let idle = level.idle(now).unwrap_or_default();
            idle < FORGET_AFTER || level.policy.next_change(idle).is_some()
        };
        while self.levels.len() > self.busy && !self.levels.last().is_none_or(used) {
            self.levels.pop();
        }
    }
}
