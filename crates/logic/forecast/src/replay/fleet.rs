//! How good forecasts of the fleet's demand would have been.

use crate::seasonal::{STEP, Seasonal};
use std::time::Duration;

/// How good forecasts were, of one horizon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Forecasts made.
    pub forecasts: u64,
    /// What was in use then, summed.
    pub demand: u64,
    /// By how much the expected demand was wrong, summed.
    pub error: u64,
    /// By how much "as much as now" would have been.
    pub error_of_now: u64,
    /// How often no more was in use than the upper bound.
    pub covered: u64,
    /// What the upper bound had beyond what was in use, where it covered it, summed.
    pub spare: u64,
}

/// Forecasts each step of a demand so far ahead, but for the `learning` first steps.
pub fn replay_fleet(demand: &[u64], horizon: Duration, learning: usize) -> Score {
    let mut seasonal = Seasonal::default();
    let mut score = Score::default();
    let ahead = usize::try_from(horizon.as_secs() / STEP.as_secs()).unwrap_or(usize::MAX);
    for (step, &now) in demand.iter().enumerate() {
        seasonal.note(STEP.saturating_mul(u32::try_from(step).unwrap_or(u32::MAX)), now);
        let then = step.checked_add(ahead).and_then(|then| demand.get(then));
        if let (Some(&then), true) = (then, step >= learning) {
            let forecast = seasonal.demand_in(horizon);
            score.forecasts += 1;
            score.demand = score.demand.saturating_add(then);
            score.error = score.error.saturating_add(forecast.expected.abs_diff(then));
            score.error_of_now = score.error_of_now.saturating_add(now.abs_diff(then));
            score.covered += u64::from(then <= forecast.upper);
            score.spare = score.spare.saturating_add(forecast.upper.saturating_sub(then));
        }
    }
    score
}
