//! The policy of Shahrad et al., "Serverless in the Wild" (USENIX ATC 2020), section 4.2:
//! unload after an event, restore before the 5th percentile of gaps, keep until the 99th.

use super::histogram::{BINS, GAP, Histogram};
use super::long_gaps::LongGaps;
use super::value::Price;
use super::{Policy, Why, Window};
use std::time::Duration;

const HEAD_PERCENT: u64 = 5;
const TAIL_PERCENT: u64 = 99;
/// By which the head is earlier, and the tail later, than what was seen.
const MARGIN_PERCENT: u64 = 10;
/// Gaps that have to be known.
const GAPS_MIN: u64 = 4;
/// If more gaps than these are beyond the histogram, it says nothing.
const BEYOND_PERCENT_MAX: u64 = 50;
/// Below a coefficient of variation of the bins of 2, it says nothing either.
const VARIATION_SQUARED_MIN: u128 = 4;
/// Any forecast out of long gaps will do: this policy knows no price.
const ANY: u64 = 1 << 16;

/// The policy for these gaps.
pub(crate) fn policy(histogram: &Histogram, long: &LongGaps) -> Policy {
    let (inside, beyond) = (histogram.in_range(), histogram.beyond());
    if inside + beyond < GAPS_MIN * GAP {
        return Policy::standard(Why::Learning);
    }
    if beyond * 100 > (inside + beyond) * BEYOND_PERCENT_MAX {
        return match long.next(Price::minutes(ANY)) {
            Some(window) => {
                Policy { keep_for: Duration::ZERO, restore: Some(window), why: Why::Schedule }
            }
            None => Policy::standard(Why::NoPattern),
        };
    }
    if !varies(histogram) {
        return Policy::standard(Why::NoPattern);
    }
    let head = percentile(histogram, HEAD_PERCENT);
    let tail = percentile(histogram, TAIL_PERCENT) + 1;
    let until = Duration::from_secs(tail * 60 * (100 + MARGIN_PERCENT) / 100);
    let from = Duration::from_secs(head * 60 * (100 - MARGIN_PERCENT) / 100);
    if head == 0 {
        return Policy { keep_for: until, restore: None, why: Why::Histogram };
    }
    let restore = Some(Window { from, until });
    Policy { keep_for: Duration::ZERO, restore, why: Why::Histogram }
}

/// The minute in which that share of the gaps in range has ended.
fn percentile(histogram: &Histogram, percent: u64) -> u64 {
    let wanted = histogram.in_range() * percent;
    let mut seen = 0;
    let reached = histogram.counts().find(|(_, count)| {
        seen += count * 100;
        seen >= wanted
    });
    reached.map_or(0, |(bin, _)| bin)
}

fn varies(histogram: &Histogram) -> bool {
    let all = u128::from(histogram.in_range());
    let squares: u128 = histogram.counts().map(|(_, count)| u128::from(count).pow(2)).sum();
    squares * u128::from(BINS) >= all * all * (1 + VARIATION_SQUARED_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(gaps: &[u64]) -> Policy {
        let mut histogram = Histogram::default();
        gaps.iter().for_each(|gap| histogram.note(Duration::from_secs(*gap)));
        policy(&histogram, &LongGaps::default())
    }

    #[test]
    fn a_head_and_a_tail_with_margins() {
        let policy = after(&[1800; 20]);
        let window = Window { from: Duration::from_secs(1620), until: Duration::from_secs(2046) };
        assert_eq!((policy.keep_for, policy.restore), (Duration::ZERO, Some(window)));
    }

    #[test]
    fn short_gaps_keep_a_sandbox_up_to_the_tail() {
        let policy = after(&[10, 20, 30, 610]);
        assert_eq!((policy.keep_for, policy.restore), (Duration::from_secs(726), None));
    }

    #[test]
    fn what_says_nothing_gets_the_standard() {
        assert_eq!(after(&[10]), Policy::standard(Why::Learning));
        assert_eq!(after(&[20_000; 5]), Policy::standard(Why::NoPattern));
        let flat: Vec<u64> = (0..240).map(|n| n * 60).collect();
        assert_eq!(after(&flat), Policy::standard(Why::NoPattern));
    }
}
