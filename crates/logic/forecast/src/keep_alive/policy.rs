//! What to do with an idle sandbox, and the rules by which that is found.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a sandbox is kept of which nothing better is known.
pub const STANDARD_KEEP_ALIVE: Duration = Duration::from_secs(600);

/// The longest that any policy holds a sandbox for, counted from its last event: 46
/// days, what the longest remembered gap can say.
pub const HOLD_MAX: Duration = Duration::from_secs(46 * 24 * 3600);

/// How a policy is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// The same for all: what there is to be better than.
    Fixed {
        /// How long an idle sandbox is kept.
        keep_for: Duration,
    },
    /// From the 5th to the 99th percentile of gaps, as Shahrad et al. have it.
    Percentiles,
    /// For the minutes in which a sandbox meets enough events.
    Worth {
        /// How long a sandbox may idle, on average, for each cold start that this saves.
        idle_per_cold_start: Duration,
    },
    /// The same, but at a price of its own for each function: the highest at which, by
    /// its gaps so far, it has no more cold starts and no more idle time than with the
    /// standard keep-alive. Where no price does that it stays with the standard, unless
    /// that is surely not worth the highest price.
    NoWorse {
        /// How long a sandbox may idle, on average, for each cold start that this saves.
        idle_per_cold_start: Duration,
    },
}

impl Default for Rule {
    /// An hour at most: more hardly saves any more (`docs/forecast.md`).
    fn default() -> Self {
        Self::NoWorse { idle_per_cold_start: Duration::from_secs(3600) }
    }
}

/// How long a sandbox is kept where the rule finds nothing better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// So long.
    pub keep_for: Duration,
    /// Whether that is also the longest that any sandbox is kept after an event. One that is
    /// restored ahead is counted from then on.
    pub is_most: bool,
}

impl Default for Fallback {
    fn default() -> Self {
        Self { keep_for: STANDARD_KEEP_ALIVE, is_most: false }
    }
}

impl Fallback {
    pub(crate) fn rule(self) -> Rule {
        Rule::Fixed { keep_for: self.keep_for }
    }

    /// A policy that was found, within this.
    pub(crate) fn bound(self, policy: Policy) -> Policy {
        let keep_for = match policy.why {
            Why::Learning | Why::NoPattern => self.keep_for,
            _ if self.is_most => policy.keep_for.min(self.keep_for),
            _ => policy.keep_for,
        };
        Policy { keep_for, ..policy }
    }
}

/// When a sandbox that is idle since its last event is there, and when it is not.
///
/// ```text
///   event ├── keep_for ──┤            ├─ restore ─┤
///         0          dropped        from        until   ► idle for
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How long it is kept after an event.
    pub keep_for: Duration,
    /// When one is restored ahead of the next event, if it can be foreseen.
    pub restore: Option<Window>,
    /// What made it so.
    pub why: Why,
}

/// A part of the time since the last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its begin.
    pub from: Duration,
    /// Its end, at which the sandbox goes.
    pub until: Duration,
}

/// Where a policy comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// A fixed time, because the rule says so or no price is better than the standard.
    Fixed,
    /// Too few gaps are known; standard.
    Learning,
    /// Gaps follow no rule that was found, and there is no saying that the standard is
    /// not worth it; standard.
    NoPattern,
    /// The histogram of gaps.
    Histogram,
    /// Gaps beyond the histogram, all alike.
    Schedule,
    /// The next event is too far and too uncertain to wait for.
    NotWorth,
}

impl Policy {
    /// The standard keep-alive.
    pub(crate) fn standard(why: Why) -> Self {
        Self { keep_for: STANDARD_KEEP_ALIVE, restore: None, why }
    }

    /// Whether a sandbox should be there after it was idle for so long.
    pub fn holds(&self, idle: Duration) -> bool {
        let restored = self.restore.is_some_and(|w| w.from <= idle && idle < w.until);
        idle < self.keep_for || restored
    }

    /// For how long of a gap of that length a sandbox is there.
    pub fn held(&self, gap: Duration) -> Duration {
        let restored = self
            .restore
            .map_or(Duration::ZERO, |w| gap.min(w.until).saturating_sub(w.from.max(self.keep_for)));
        gap.min(self.keep_for).saturating_add(restored)
    }

    /// At which idle time after this one the answer of [`holds`](Self::holds) may be
    /// another, if ever.
    pub fn next_change(&self, idle: Duration) -> Option<Duration> {
        let restore = self.restore.map(|w| [w.from, w.until]);
        let changes = restore.into_iter().flatten().chain([self.keep_for]);
        changes.filter(|at| *at > idle).min()
    }
}
