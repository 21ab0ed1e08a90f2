//! What is remembered of the events that one sandbox runs.

use super::histogram::{BINS, Histogram};
use super::long_gaps::LongGaps;
use super::policy::{HOLD_MAX, Policy, Rule, Why};
use super::value::{Price, Value};
use super::{minutes, percentiles, worth};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Old gaps count half after so long, and nothing after eight days of silence or change.
/// Long enough to learn what happens four times a day, short enough to forget last
/// week's schedule.
pub const FADE_AFTER: Duration = Duration::from_secs(2 * 24 * 3600);
/// A gap is counted by whole minutes, and ends in the middle of its last.
const HALF_A_MINUTE: Duration = Duration::from_secs(30);
/// After so many halvings in a row nothing is left of any count.
const HALVINGS_MAX: u64 = 32;

/// The gaps between events, as the sandbox that runs them sees them: from the end of
/// one to the begin of the next.
///
/// Times are since any epoch that outlives the process, such as Unix time. A clock that
/// jumps back makes a gap of nothing, one that jumps ahead a long one; neither does more
/// harm than one wrong gap.
///
/// Takes about 100 bytes, and 4 for each minute after which a gap ended lately: at most
/// [`BYTES_MAX`](Self::BYTES_MAX).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrivals {
    last: Option<Duration>,
    faded: Duration,
    histogram: Histogram,
    long: LongGaps,
}

impl Arrivals {
    /// The most memory that one of these takes: itself, and 4 bytes for each of 239
    /// minutes, in a vector that grows by doubling.
    pub const BYTES_MAX: usize = size_of::<Self>() + 4 * 256;

    /// An event begins.
    pub fn note(&mut self, now: Duration) {
        self.fade(now);
        if let Some(last) = self.last.replace(now) {
            let gap = now.saturating_sub(last);
            self.histogram.note(gap);
            if gap >= minutes(BINS.into()) {
                self.long.note(gap);
            }
        }
    }

    /// The event that began last has ended; the gap begins here.
    pub fn ended(&mut self, now: Duration) {
        self.last = Some(now);
    }

    /// When the last event ended, or began if it is not over.
    pub fn last(&self) -> Option<Duration> {
        self.last
    }

    /// Whether nothing is known of any gap.
    pub fn is_empty(&self) -> bool {
        self.histogram.is_empty()
    }

    /// What to do after the next event has ended.
    pub fn policy(&self, rule: Rule) -> Policy {
        match rule {
            Rule::Fixed { keep_for } => {
                Policy { keep_for: keep_for.min(HOLD_MAX), restore: None, why: Why::Fixed }
            }
            Rule::Percentiles => percentiles::policy(&self.histogram, &self.long),
            Rule::Worth { idle_per_cold_start } | Rule::NoWorse { idle_per_cold_start } => {
                worth::policy(&self.histogram, &self.long, Price::of(idle_per_cold_start))
            }
        }
    }

    /// What a policy would have been worth in all gaps that are remembered.
    pub(crate) fn value(&self, policy: &Policy) -> Value {
        let mut value = Value::default();
        let mut count = |gap, gaps| value.held(gaps, policy.held(gap), policy.holds(gap));
        for (bin, gaps) in self.histogram.counts() {
            count(minutes(bin) + HALF_A_MINUTE, gaps);
        }
        // Of gaps beyond the histogram the latest few stand for all.
        let latest = self.long.gaps().count() as u64;
        for gap in self.long.gaps() {
            count(gap + HALF_A_MINUTE, self.histogram.beyond() / latest);
        }
        value
    }

    /// Bytes that this takes, here and on the heap.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.histogram.heap_bytes()
    }

    fn fade(&mut self, now: Duration) {
        let Some(since) = now.checked_sub(self.faded).filter(|_| self.last.is_some()) else {
            // The first event, or a clock that was set back: counted from here.
            self.faded = now;
            return;
        };
        let due = since.as_secs() / FADE_AFTER.as_secs();
        (0..due.min(HALVINGS_MAX)).for_each(|_| self.histogram.halve());
        let over = Duration::from_secs(since.as_secs() % FADE_AFTER.as_secs());
        if due > 0 {
            self.faded = now.saturating_sub(over);
        }
    }
}
