//! How long a sandbox was idle before it was wanted again, counted by minutes.
//!
//! ```text
//!  under a minute │ 1..2 │ 2..3 │ … │ 239..240 minutes │ beyond
//!       u32       │        (bin, u16), if it has any   │  u32
//! ```
//!
//! Counts are in eighths of a gap, so that one gap is still something after it was
//! halved three times. A gap of a minute or more can come 11,520 eighths a day at
//! most, and two days after two days' half that is 46,080 together: a `u16` holds it.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use thiserror::Error;

/// Bins of a minute each: gaps of up to four hours are told apart. (Shahrad et al. take
/// the same.)
pub const BINS: u8 = 240;
/// What one gap counts.
pub(crate) const GAP: u64 = 8;
const BIN_SECONDS: u64 = 60;

/// Counted gaps. At most 239 bins of 4 bytes beside the two ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub(crate) struct Histogram {
    under_a_minute: u32,
    /// By bin, none of them empty.
    bins: Vec<(u8, u16)>,
    beyond: u32,
}

impl Histogram {
    pub(crate) fn note(&mut self, gap: Duration) {
        let one = GAP as u16;
        match gap.as_secs() / BIN_SECONDS {
            0 => self.under_a_minute = self.under_a_minute.saturating_add(one.into()),
            minute if minute >= u64::from(BINS) => {
                self.beyond = self.beyond.saturating_add(one.into());
            }
            minute => {
                let bin = minute as u8;
                match self.bins.binary_search_by_key(&bin, |(bin, _)| *bin) {
                    Ok(at) => self.bins[at].1 = self.bins[at].1.saturating_add(one),
                    Err(at) => self.bins.insert(at, (bin, one)),
                }
            }
        }
    }

    /// What was counted so far counts half from now on.
    pub(crate) fn halve(&mut self) {
        self.under_a_minute /= 2;
        self.beyond /= 2;
        self.bins.iter_mut().for_each(|(_, count)| *count /= 2);
        self.bins.retain(|(_, count)| *count > 0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.in_range() + self.beyond() == 0
    }

    /// All gaps up to four hours.
    pub(crate) fn in_range(&self) -> u64 {
        self.counts().map(|(_, count)| count).sum()
    }

    /// All longer gaps.
    pub(crate) fn beyond(&self) -> u64 {
        self.beyond.into()
    }

    /// Minute and count of each bin that has any, the shortest gaps first.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (u64, u64)> {
        let first = (self.under_a_minute > 0).then_some((0, u64::from(self.under_a_minute)));
        let rest = self.bins.iter().map(|(bin, count)| (u64::from(*bin), u64::from(*count)));
        first.into_iter().chain(rest)
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bins.capacity() * size_of::<(u8, u16)>()
    }
}

/// A stored histogram that this code did not write.
#[derive(Debug, Error)]
#[error("bins of a histogram that are not in order, empty, or beyond its range")]
struct Malformed;

#[derive(Deserialize)]
struct Unchecked {
    under_a_minute: u32,
    bins: Vec<(u8, u16)>,
    beyond: u32,
}

impl TryFrom<Unchecked> for Histogram {
    type Error = Malformed;

    fn try_from(stored: Unchecked) -> Result<Self, Malformed> {
        let Unchecked { under_a_minute, bins, beyond } = stored;
        let ordered = bins.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let inside = bins.iter().all(|(bin, count)| (1..BINS).contains(bin) && *count > 0);
        if ordered && inside { Ok(Self { under_a_minute, bins, beyond }) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_gap_is_counted_once_and_the_size_is_bounded(
            gaps in prop::collection::vec(0u64..30_000, 0..600),
        ) {
            let mut histogram = Histogram::default();
            gaps.iter().for_each(|gap| histogram.note(Duration::from_secs(*gap)));
            let beyond = gaps.iter().filter(|gap| **gap >= 240 * 60).count() as u64;
            prop_assert_eq!(histogram.beyond(), beyond * GAP);
            prop_assert_eq!(histogram.in_range(), (gaps.len() as u64 - beyond) * GAP);
            prop_assert!(histogram.bins.len() < usize::from(BINS));
            let stored = serde_json::to_string(&histogram).unwrap();
            prop_assert_eq!(serde_json::from_str::<Histogram>(&stored).unwrap(), histogram);
        }
    }

    #[test]
    fn a_gap_is_forgotten_after_four_halvings() {
        let mut histogram = Histogram::default();
        for seconds in [5, 300, 20_000] {
            histogram.note(Duration::from_secs(seconds));
        }
        for left in [4, 2, 1, 0] {
            histogram.halve();
            assert_eq!((histogram.in_range(), histogram.beyond()), (2 * left, left));
        }
        assert!(histogram.is_empty() && histogram.bins.is_empty());
    }

    #[test]
    fn a_full_count_stays_full() {
        let mut histogram = Histogram { bins: vec![(3, u16::MAX)], ..Histogram::default() };
        histogram.note(Duration::from_secs(200));
        assert_eq!(histogram.in_range(), u64::from(u16::MAX));
    }

    #[test]
    fn what_nobody_wrote_is_refused() {
        for bins in ["[[0,1]]", "[[240,1]]", "[[4,0]]", "[[5,1],[4,1]]", "[[4,1],[4,1]]"] {
            let stored = format!(r#"{{"under_a_minute":0,"bins":{bins},"beyond":0}}"#);
            assert!(serde_json::from_str::<Histogram>(&stored).is_err(), "{bins}");
        }
    }
}
