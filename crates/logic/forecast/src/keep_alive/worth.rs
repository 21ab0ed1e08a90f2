//! Which parts of a gap an idle sandbox is held for: those in which, by the gaps so far,
//! it meets enough events for the minutes it idles.
//!
//! ```text
//!  gaps per minute   █
//!                    █▄▁▁                           ▂█▃
//!                    ├────┤░░░░░░░░░░░░░░░░░░░░░░░░├───┤░░░░►  idle for
//!                   kept at    not worth its      restored
//!                     once       minutes           ahead
//! ```
//!
//! Both are chosen as the best sum over neighbouring minutes of (events met × price −
//! minutes idled), counted over all gaps that reached that minute.

use super::histogram::{BINS, GAP, Histogram};
use super::long_gaps::LongGaps;
use super::value::{Price, Value};
use super::{Policy, STANDARD_KEEP_ALIVE, Why, Window, minutes};

/// Fewer gaps say nothing yet.
const GAPS_MIN: u64 = 4;
/// Below this square of the coefficient of variation of the bins, gaps have every length
/// alike, and none is to be expected. (Shahrad et al.: a coefficient of 2.)
const VARIATION_SQUARED_MIN: u64 = 4;

/// The policy for these gaps at this price.
pub(crate) fn policy(histogram: &Histogram, long: &LongGaps, price: Price) -> Policy {
    let all = histogram.in_range() + histogram.beyond();
    if all < GAPS_MIN * GAP {
        return Policy::standard(Why::Learning);
    }
    let plan = Plan::best(histogram, price);
    if let Some((way, until)) = plan.both
        && has_peaks(histogram)
        && way.restored_value.surely_worth(price)
    {
        let keep_for = minutes(way.kept);
        return Policy { keep_for, restore: Some(window(&way, until)), why: Why::Histogram };
    }
    let kept = plan.once.kept;
    let keep_for = minutes(kept);
    let outlast = histogram.counts().filter(|(bin, _)| *bin >= kept).map(|(_, count)| count);
    if histogram.beyond() > outlast.sum()
        && let Some(window) = long.next(price)
    {
        let restore = Some(Window { from: window.from.max(keep_for), ..window });
        return Policy { keep_for, restore, why: Why::Schedule };
    }
    if kept > 0 {
        return Policy { keep_for, restore: None, why: Why::Histogram };
    }
    if standard_value(histogram, all).surely_not_worth(price) {
        return Policy { keep_for, restore: None, why: Why::NotWorth };
    }
    Policy::standard(Why::NoPattern)
}

/// The best minutes to hold a sandbox for.
struct Plan {
    /// If none is restored later.
    once: Way,
    /// If one is, and until when; where that gains more.
    both: Option<(Way, u64)>,
}

/// What was gained up to some minute by one way to it.
#[derive(Clone, Copy)]
struct Way {
    /// Kept for so many minutes.
    kept: u64,
    kept_value: Value,
    /// Restored after so many, if at all.
    from: u64,
    restored_value: Value,
}

impl Way {
    fn gain(&self, price: Price) -> i128 {
        self.kept_value.gain(price) + self.restored_value.gain(price)
    }

    fn better(&self, than: Option<Self>, price: Price) -> bool {
        than.is_none_or(|than| self.gain(price) > than.gain(price))
    }
}

impl Plan {
    /// Goes through the minutes once, and knows at each the best way to be there with a
    /// sandbox that was kept, with none any more, and with one that was restored.
    fn best(histogram: &Histogram, price: Price) -> Self {
        let mut left = histogram.in_range() + histogram.beyond();
        let zero = Value::default();
        let mut kept = Way { kept: 0, kept_value: zero, from: 0, restored_value: zero };
        let mut dropped = kept;
        let mut restored: Option<Way> = None;
        let mut ended: Option<(Way, u64)> = None;
        let mut passed = 0;
        for (bin, count) in histogram.counts() {
            // Of the minutes in which no gap ended, all that are left have each.
            if let Some(way) = &mut restored {
                way.restored_value.missed(left, bin - passed);
            }
            let anew = Way { from: bin, restored_value: Value::of_restore(left), ..dropped };
            if anew.better(restored, price) {
                restored = Some(anew);
            }
            kept.kept_value.missed(left, bin - passed);
            left -= count;
            passed = bin + 1;
            for value in
                [Some(&mut kept.kept_value), restored.as_mut().map(|w| &mut w.restored_value)]
                    .into_iter()
                    .flatten()
            {
                value.met(count, 0);
                value.missed(left, 1);
            }
            kept.kept = passed;
            if kept.better(Some(dropped), price) {
                dropped = kept;
            }
            if let Some(way) = restored
                && way.better(ended.map(|(way, _)| way), price)
            {
                ended = Some((way, passed));
            }
        }
        Self { once: dropped, both: ended.filter(|(way, _)| way.better(Some(dropped), price)) }
    }
}

/// A minute earlier and later than what was seen, for what has not been seen yet.
fn window(way: &Way, until: u64) -> Window {
    let from = way.from.saturating_sub(1).max(way.kept);
    Window { from: minutes(from), until: minutes((until + 1).min(BINS.into())) }
}

/// What the standard keep-alive would have been worth.
fn standard_value(histogram: &Histogram, all: u64) -> Value {
    let standard = STANDARD_KEEP_ALIVE.as_secs() / 60;
    let mut value = Value::default();
    let mut left = all;
    for (bin, count) in histogram.counts().filter(|(bin, _)| *bin < standard) {
        value.met(count, bin);
        left -= count;
    }
    value.missed(left, standard);
    value
}

/// Whether some lengths are more frequent than others, beyond what chance does to few
/// gaps: the squared coefficient of variation of the bins, estimated by pairs of gaps
/// that share a bin.
fn has_peaks(histogram: &Histogram) -> bool {
    let all = u128::from(histogram.in_range());
    let one = u128::from(GAP);
    let counts = histogram.counts().map(|(_, count)| u128::from(count));
    let pairs: u128 = counts.map(|count| count * count.saturating_sub(one)).sum();
    let all_pairs = all * all.saturating_sub(one);
    pairs * u128::from(BINS) >= all_pairs * u128::from(1 + VARIATION_SQUARED_MIN) && pairs > 0
}

#[cfg(test)]
mod tests {
    use super::super::value::RESTORE_MINUTES;
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const PRICE: u64 = 20;

    fn after(gaps: impl IntoIterator<Item = u64>) -> Policy {
        let (mut histogram, mut long) = (Histogram::default(), LongGaps::default());
        for gap in gaps {
            histogram.note(Duration::from_secs(gap));
            if gap >= 240 * 60 {
                long.note(Duration::from_secs(gap));
            }
        }
        policy(&histogram, &long, Price::minutes(PRICE))
    }

    fn repeat(of: &[u64], times: usize) -> Vec<u64> {
        of.repeat(times)
    }

    fn windows(policy: Policy) -> (u64, Option<(u64, u64)>, Why) {
        let minute = |d: Duration| d.as_secs() / 60;
        let restore = policy.restore.map(|w| (minute(w.from), minute(w.until)));
        (minute(policy.keep_for), restore, policy.why)
    }

    #[test]
    fn nothing_is_known_after_three_gaps() {
        assert_eq!(after([5, 5, 5]), Policy::standard(Why::Learning));
    }

    #[test]
    fn short_gaps_are_kept_for_and_no_longer() {
        assert_eq!(windows(after(repeat(&[10, 100, 200], 5))), (4, None, Why::Histogram));
    }

    #[test]
    fn a_period_is_restored_for_and_not_waited_for() {
        let gaps = repeat(&[1790, 1800, 1815], 3);
        assert_eq!(windows(after(gaps)), (0, Some((28, 32)), Why::Histogram));
    }

    #[test]
    fn short_gaps_inside_of_a_period_have_both() {
        let gaps = repeat(&[5, 8, 20, 3600, 3630], 4);
        assert_eq!(windows(after(gaps)), (1, Some((59, 62)), Why::Histogram));
    }

    #[test]
    fn a_long_period_is_found_behind_short_gaps() {
        let gaps = repeat(&[5, 8, 28_800], 5);
        assert_eq!(windows(after(gaps)), (1, Some((478, 483)), Why::Schedule));
    }

    #[test]
    fn events_that_hardly_ever_come_are_not_waited_for() {
        let gaps = (0..20).map(|n| 3_000 + n * 3_500);
        assert_eq!(windows(after(gaps)), (0, None, Why::NotWorth));
    }

    #[test]
    fn few_gaps_of_every_length_get_the_standard() {
        // Ten minutes would have met one of four for 35 minutes: dear, but not surely.
        assert_eq!(after([300, 1_300, 2_600, 4_000]), Policy::standard(Why::NoPattern));
    }

    #[test]
    fn chance_makes_no_peaks() {
        let histogram = |gaps: &[u64]| {
            let mut histogram = Histogram::default();
            gaps.iter().for_each(|gap| histogram.note(minutes(*gap)));
            histogram
        };
        let flat: Vec<u64> = (0..240).chain(0..240).collect();
        assert!(!has_peaks(&histogram(&flat)));
        assert!(!has_peaks(&histogram(&[1, 50, 90, 130, 170])));
        assert!(has_peaks(&histogram(&[30; 5])));
    }

    /// What keeping a sandbox for `kept` minutes and holding a restored one in a window
    /// gains in all gaps, counted one by one.
    fn gain(gaps: &[u64], price: u64, kept: u64, window: Option<(u64, u64)>) -> i128 {
        let one = |gap: u64| {
            let held = |from: u64, until: u64| match gap {
                gap if gap < from => 0,
                gap if gap < until => 2 * i128::from(price) - 2 * i128::from(gap - from) - 1,
                _ => -2 * i128::from(until - from),
            };
            let restored = window.filter(|(from, _)| gap >= *from);
            let restored = restored
                .map_or(0, |(from, until)| held(from, until) - 2 * i128::from(RESTORE_MINUTES));
            held(0, kept) + restored
        };
        gaps.iter().map(|gap| one(*gap)).sum::<i128>() * i128::from(GAP)
    }

    proptest! {
        #[test]
        fn no_other_minutes_would_gain_more(
            gaps in prop::collection::vec(prop_oneof![0u64..14, Just(500)], 0..24),
            price in 0u64..30,
        ) {
            let mut histogram = Histogram::default();
            gaps.iter().for_each(|gap| histogram.note(minutes(*gap)));
            let plan = Plan::best(&histogram, Price::minutes(price));
            let once = (0..15).map(|kept| gain(&gaps, price, kept, None)).max().unwrap();
            prop_assert_eq!(plan.once.gain(Price::minutes(price)), once);
            prop_assert_eq!(gain(&gaps, price, plan.once.kept, None), once);

            let windows = (0..15).flat_map(|kept| {
                (kept..15).flat_map(move |from| (from..15).map(move |until| (kept, from, until)))
            });
            let both = windows.map(|(kept, from, until)| {
                gain(&gaps, price, kept, Some((from, until)))
            });
            let both = both.max().unwrap();
            match plan.both {
                Some((way, until)) => {
                    prop_assert_eq!(way.gain(Price::minutes(price)), both);
                    prop_assert_eq!(gain(&gaps, price, way.kept, Some((way.from, until))), both);
                }
                None => prop_assert!(both <= once),
            }
        }
    }
}
