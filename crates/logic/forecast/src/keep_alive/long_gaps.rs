//! The latest gaps that the histogram has no bins for, and when their like ends next.
//!
//! A job that runs every eight hours has gaps of nearly the same length; the shortest
//! and the longest of the last few bound the next. Shahrad et al. fit an ARIMA model
//! here. This knows only one period, and says nothing where the gaps differ widely.

use super::histogram::GAP;
use super::value::{Price, Value};
use super::{Window, minutes};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Gaps that are remembered.
const REMEMBERED: usize = 8;
/// Fewer are a coincidence.
const GAPS_MIN: usize = 3;
/// From so many on, the one shortest and the one longest are left out: a single gap
/// that was unlike the others shall not end a forecast that is right.
const GAPS_TO_TRIM: usize = 6;
/// What is added to either side, as the next gap may be a little shorter or longer than
/// all of the few before.
const MARGIN_MINUTES: u64 = 2;

/// A ring of gaps in minutes, up to 45 days each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LongGaps {
    minutes: [u16; REMEMBERED],
    noted: u8,
}

impl LongGaps {
    pub(crate) fn note(&mut self, gap: Duration) {
        let minute = u16::try_from(gap.as_secs() / 60).unwrap_or(u16::MAX);
        self.minutes.rotate_right(1);
        self.minutes[0] = minute;
        self.noted = self.noted.saturating_add(1).min(REMEMBERED as u8);
    }

    /// All that are remembered.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = Duration> {
        self.minutes.iter().take(self.noted.into()).map(|gap| minutes(u64::from(*gap)))
    }

    /// When the next event is to be expected, if holding a sandbox for it is worth its
    /// price.
    pub(crate) fn next(&self, price: Price) -> Option<Window> {
        let mut gaps = self.minutes;
        let gaps = gaps.get_mut(..self.noted.into())?;
        gaps.sort_unstable();
        let trim = usize::from(gaps.len() >= GAPS_TO_TRIM);
        let usual = &gaps[trim..gaps.len() - trim];
        if gaps.len() < GAPS_MIN {
            return None;
        }
        let from = u64::from(*usual.first()?).saturating_sub(MARGIN_MINUTES);
        let until = u64::from(*usual.last()?) + 1 + MARGIN_MINUTES;
        let mut value = Value::of_restore(gaps.len() as u64 * GAP);
        for gap in gaps.iter().map(|gap| u64::from(*gap)).filter(|gap| *gap >= from) {
            if gap < until {
                value.met(GAP, gap - from);
            } else {
                value.missed(GAP, until - from);
            }
        }
        value.surely_worth(price).then(|| Window { from: minutes(from), until: minutes(until) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(gaps: &[u64]) -> Option<(u64, u64)> {
        let mut long = LongGaps::default();
        gaps.iter().for_each(|gap| long.note(minutes(*gap)));
        let window = long.next(Price::minutes(20))?;
        Some((window.from.as_secs() / 60, window.until.as_secs() / 60))
    }

    #[test]
    fn a_job_every_eight_hours_is_expected_again_after_three() {
        assert_eq!(next(&[480, 482]), None);
        assert_eq!(next(&[480, 482, 479]), Some((477, 485)));
    }

    #[test]
    fn one_gap_unlike_the_others_changes_nothing_and_two_do() {
        assert_eq!(next(&[480, 482, 479, 480, 1200, 481]), Some((478, 485)));
        assert_eq!(next(&[480, 482, 479, 1100, 1200, 481]), None);
    }

    #[test]
    fn gaps_without_a_rule_say_nothing() {
        assert_eq!(next(&[300, 900, 420, 2000, 610, 260, 1500, 700]), None);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut gaps = vec![300; 20];
        gaps.extend([900; 8]);
        assert_eq!(next(&gaps), Some((898, 903)));
    }

    #[test]
    fn a_gap_of_centuries_is_a_long_one() {
        let mut long = LongGaps::default();
        (0..4).for_each(|_| long.note(Duration::MAX));
        assert!(long.next(Price::minutes(20)).is_some());
    }
}
