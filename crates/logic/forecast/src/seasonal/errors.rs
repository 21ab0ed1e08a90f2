//! By how much demand was more than what was expected some steps before.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Errors that are remembered: two days of them, so that the worst hour of a day counts.
const REMEMBERED: usize = 576;
/// Before so many are known (an hour), nothing is said.
const KNOWN_MIN: usize = 12;

/// Forecasts of one horizon, and how far they were off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Errors {
    horizon: u64,
    /// Which step, and what was expected of it; not come yet.
    open: VecDeque<(u64, i64)>,
    latest: VecDeque<i64>,
}

impl Errors {
    /// Of forecasts so many steps ahead.
    pub(crate) fn new(horizon: u64) -> Self {
        Self { horizon, open: VecDeque::new(), latest: VecDeque::new() }
    }

    /// Bytes of these, at most, beside the heap's own: both rings grow by doubling.
    pub(crate) const fn bytes_max(horizon: u64) -> usize {
        size_of::<Self>()
            + (horizon as usize + 1).next_power_of_two() * size_of::<(u64, i64)>()
            + (REMEMBERED + 1).next_power_of_two() * size_of::<i64>()
    }

    pub(crate) fn horizon(&self) -> u64 {
        self.horizon
    }

    /// Something is expected of the step that is one horizon after this one.
    pub(crate) fn expect(&mut self, step: u64, expected: i64) {
        self.open.push_back((step.saturating_add(self.horizon), expected));
        let most = usize::try_from(self.horizon).unwrap_or(usize::MAX);
        while self.open.len() > most {
            self.open.pop_front();
        }
    }

    /// What the step had.
    pub(crate) fn came(&mut self, step: u64, demand: i64) {
        while let Some(&(of, expected)) = self.open.front()
            && of <= step
        {
            self.open.pop_front();
            if of == step {
                self.latest.push_back(demand.saturating_sub(expected));
            }
        }
        while self.latest.len() > REMEMBERED {
            self.latest.pop_front();
        }
    }

    /// What so many percent of the errors did not exceed, if enough are known.
    pub(crate) fn percentile(&self, percent: usize) -> Option<i64> {
        if self.latest.len() < KNOWN_MIN {
            return None;
        }
        let mut sorted: Vec<i64> = self.latest.iter().copied().collect();
        let at = (sorted.len() * percent / 100).min(sorted.len() - 1);
        Some(*sorted.select_nth_unstable(at).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_of_the_step_that_was_meant() {
        let mut errors = Errors::new(2);
        for step in 0..40 {
            errors.came(step, 100);
            errors.expect(step, 100 - step as i64);
        }
        // Steps 2 to 39 were foreseen, too low by 0 to 37.
        assert_eq!(errors.latest.iter().copied().collect::<Vec<_>>(), (0..38).collect::<Vec<_>>());
        assert_eq!((errors.percentile(50), errors.percentile(100)), (Some(19), Some(37)));
    }

    #[test]
    fn steps_that_never_came_are_no_errors_and_few_say_nothing() {
        let mut errors = Errors::new(1);
        for step in (0..20).map(|n| n * 5) {
            errors.came(step, 7);
            errors.expect(step, 0);
        }
        assert_eq!((errors.latest.len(), errors.percentile(95)), (0, None));
    }
}
