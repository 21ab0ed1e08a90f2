//! What a saved cold start may cost one function: so much that it is better off than with
//! the standard keep-alive, in cold starts and in idle time.
//!
//! ```text
//!  cold │ ●  price low
//!       │  ●
//!       │    ●         ○ standard
//!       │ ┄┄┄┄┄┄┄┄◆┄┄┄┄┊       ◆ the highest price that costs no more
//!       │         ┊    ●
//!       └──────────────────●──► idle
//! ```

use super::arrivals::Arrivals;
use super::histogram::BINS;
use super::minutes;
use super::policy::{Fallback, HOLD_MAX, Policy, Rule};
use super::value::{Price, Value};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often prices are found anew, beside early on. It takes a few policies for each
/// sandbox, and gaps do not change their ways within an hour.
pub(crate) const REPRICE_AFTER: Duration = Duration::from_secs(3600);
/// The lowest price is that part of the highest, and each step is as much.
const STEPS: u32 = 16;

/// What a function may idle, of what it would with the standard: a little less, as the
/// gaps to come are not those so far.
const IDLE_PERCENT_MAX: u64 = 98;

/// By what rule each of a function's sandboxes is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Prices {
    /// For the first sandboxes,
    first: Rule,
    /// how many,
    firsts: usize,
    /// and for one more by the same, but no longer than this;
    partly: Option<Duration>,
    /// and for the others.
    others: Rule,
    /// What they are not to be worse than.
    fallback: Fallback,
}

impl Prices {
    /// The same for all.
    pub(crate) fn all(rule: Rule, fallback: Fallback) -> Self {
        Self { first: rule, firsts: 0, partly: None, others: rule, fallback }
    }

    /// For a function of which nothing is known.
    pub(crate) fn of_new(rule: Rule, fallback: Fallback) -> Self {
        let is_priced = matches!(rule, Rule::NoWorse { .. });
        Self::all(if is_priced { fallback.rule() } else { rule }, fallback)
    }

    /// The policy for the sandbox that runs beside so many others.
    pub(crate) fn policy(&self, beside: usize, arrivals: &Arrivals) -> Policy {
        let policy = match self.partly {
            _ if beside < self.firsts => arrivals.policy(self.first),
            Some(longest) if beside == self.firsts => {
                let policy = arrivals.policy(self.first);
                Policy { keep_for: policy.keep_for.min(longest), restore: None, ..policy }
            }
            _ => arrivals.policy(self.others),
        };
        self.fallback.bound(policy)
    }

    /// The prices for a function whose sandboxes had these gaps.
    pub(crate) fn find(rule: Rule, fallback: Fallback, levels: &[&Arrivals]) -> Self {
        let all = |rule| Self::all(rule, fallback);
        let Rule::NoWorse { idle_per_cold_start: highest } = rule else { return all(rule) };
        let value = |prices: &Self| {
            let each = levels.iter().enumerate();
            let each =
                each.map(|(beside, arrivals)| arrivals.value(&prices.policy(beside, arrivals)));
            each.fold(Value::default(), Value::plus)
        };
        let standard = value(&all(fallback.rule()));
        let fits = |prices: &Self| value(prices).idles_at_most(IDLE_PERCENT_MAX, standard);
        let prices = highest_that(highest, fallback, levels.len(), fits);
        let better = |prices: &Self| value(prices).meets_as_many_as(standard);
        if fits(&prices) && better(&prices) {
            prices
        } else if standard.surely_not_worth(Price::of(highest)) {
            all(Rule::Worth { idle_per_cold_start: highest })
        } else {
            all(fallback.rule())
        }
    }
}

/// The highest prices that fit: one step for all; the next one for as many of the first
/// as possible; and that for one more, for as many minutes as possible.
fn highest_that(
    highest: Duration,
    fallback: Fallback,
    levels: usize,
    fits: impl Fn(&Prices) -> bool,
) -> Prices {
    let highest = highest.min(HOLD_MAX);
    let at_step = |step| Rule::Worth { idle_per_cold_start: highest * step / STEPS };
    let step = last_that(STEPS, |step| fits(&Prices::all(at_step(step), fallback)));
    if step == STEPS {
        return Prices::all(at_step(step), fallback);
    }
    let with = |firsts: u32, partly| Prices {
        first: at_step(step + 1),
        firsts: firsts as usize,
        partly,
        others: at_step(step),
        fallback,
    };
    let levels = u32::try_from(levels).unwrap_or(u32::MAX);
    let firsts = last_that(levels, |firsts| fits(&with(firsts, None)));
    let partly = |longest: u32| with(firsts, Some(minutes(longest.into())));
    match last_that(BINS.into(), |longest| fits(&partly(longest))) {
        0 => with(firsts, None),
        longest => partly(longest),
    }
}

/// The last of 0 to `most` for which it holds, if it holds up to somewhere; 0 is not
/// asked for.
fn last_that(most: u32, holds: impl Fn(u32) -> bool) -> u32 {
    let (mut last, mut beyond) = (0, most.saturating_add(1));
    while beyond - last > 1 {
        let middle = last + (beyond - last) / 2;
        if holds(middle) { last = middle } else { beyond = middle }
    }
    last
}
