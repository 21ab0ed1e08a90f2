//! What holding an idle sandbox for a while is worth: how many cold starts it would have
//! saved, for how many idle minutes.

use super::histogram::GAP;
use std::time::Duration;

/// How many idle minutes one saved cold start may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Price(u64);

/// A price of more would have a sandbox held for good.
const PRICE_MINUTES_MAX: u64 = 1 << 20;
/// What a restore ahead of time costs, in idle minutes: it is work that a machine does,
/// whether the event comes or not. An assumption; nobody has measured it.
pub(crate) const RESTORE_MINUTES: u64 = 5;

impl Price {
    pub(crate) fn of(idle: Duration) -> Self {
        Self::minutes(idle.as_secs() / 60)
    }

    pub(crate) fn minutes(minutes: u64) -> Self {
        Self(minutes.min(PRICE_MINUTES_MAX))
    }
}

/// The sum over past gaps, if a sandbox had been held for a certain part of each. Gaps
/// are counted as the histogram counts them ([`GAP`] for one).
/// Idle time is in half minutes: a gap ends in the middle of its bin, as far as the
/// histogram knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Value {
    met: u64,
    half_minutes: u64,
}

impl Value {
    /// The price of restoring a sandbox in each of so many gaps.
    pub(crate) fn of_restore(gaps: u64) -> Self {
        Self { met: 0, half_minutes: gaps.saturating_mul(2 * RESTORE_MINUTES) }
    }

    /// In `gaps`, the event came in the minute that begins after `idle_minutes`.
    pub(crate) fn met(&mut self, gaps: u64, idle_minutes: u64) {
        self.met = self.met.saturating_add(gaps);
        let idle = idle_minutes.saturating_mul(2).saturating_add(1);
        self.half_minutes = self.half_minutes.saturating_add(gaps.saturating_mul(idle));
    }

    /// In `gaps`, the sandbox was held for so long and no event came.
    pub(crate) fn missed(&mut self, gaps: u64, idle_minutes: u64) {
        let idle = gaps.saturating_mul(idle_minutes).saturating_mul(2);
        self.half_minutes = self.half_minutes.saturating_add(idle);
    }

    /// In `gaps`, a sandbox was there for so long, and the event met it or not.
    pub(crate) fn held(&mut self, gaps: u64, idle: Duration, met: bool) {
        if met {
            self.met = self.met.saturating_add(gaps);
        }
        let half_minutes = gaps.saturating_mul(idle.as_secs() / 30);
        self.half_minutes = self.half_minutes.saturating_add(half_minutes);
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            met: self.met.saturating_add(other.met),
            half_minutes: self.half_minutes.saturating_add(other.half_minutes),
        }
    }

    /// Whether at least as many events met a sandbox.
    pub(crate) fn meets_as_many_as(&self, other: Self) -> bool {
        self.met >= other.met
    }

    /// Whether sandboxes idled for at most that many percent of the other's time.
    pub(crate) fn idles_at_most(&self, percent: u64, other: Self) -> bool {
        let part = |idle: u64, of: u64| u128::from(idle) * u128::from(of);
        part(self.half_minutes, 100) <= part(other.half_minutes, percent)
    }

    /// What was gained above the price; negative if it was too dear.
    pub(crate) fn gain(&self, price: Price) -> i128 {
        i128::from(self.met) * i128::from(2 * price.0) - i128::from(self.half_minutes)
    }

    /// Whether it was worth the price even with one standard deviation fewer events met:
    /// a few gaps that are alike by chance are no rule.
    pub(crate) fn surely_worth(&self, price: Price) -> bool {
        let sure = Self { met: self.met.saturating_sub(self.deviation()), ..*self };
        self.met > 0 && sure.gain(price) >= 0
    }

    /// Whether it was not worth the price even with one standard deviation more, and one
    /// event more, met.
    pub(crate) fn surely_not_worth(&self, price: Price) -> bool {
        let met = self.met.saturating_add(self.deviation()).saturating_add(GAP);
        Self { met, ..*self }.gain(price) < 0
    }

    /// The standard deviation of a count of events.
    fn deviation(&self) -> u64 {
        self.met.saturating_mul(GAP).isqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_met_is_weighed_against_what_it_cost() {
        let mut value = Value::default();
        value.met(4 * GAP, 3);
        value.missed(GAP, 10);
        // 4 × 3.5 + 10 = 24 minutes for 4 cold starts.
        assert_eq!(value.gain(Price::minutes(6)), 0);
        assert!(value.surely_worth(Price::minutes(12)) && !value.surely_worth(Price::minutes(11)));
        assert!(value.surely_not_worth(Price::minutes(3)));
        assert!(!value.surely_not_worth(Price::minutes(4)));
    }

    #[test]
    fn nothing_overflows() {
        let mut value = Value::of_restore(u64::MAX);
        value.met(u64::MAX, u64::MAX);
        value.missed(u64::MAX, u64::MAX);
        let price = Price::of(Duration::MAX);
        assert!(value.gain(price) > 0 && value.surely_worth(price));
        assert!(!value.surely_not_worth(price));
    }
}
