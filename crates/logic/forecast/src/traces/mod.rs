//! Made-up traces, each kind of a way in which functions are called, out of a seed.
//!
//! They are models, not records: what is said of a policy on them holds for functions
//! that behave like them.

mod kinds;
mod random;

use crate::replay::Call;
use random::Random;
use std::time::Duration;

/// In what way functions are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bursts at random times, once in 20 minutes to 2 hours; half of all bursts are one
    /// call, a quarter two to three, and so on up to 63, within a minute.
    Bursty,
    /// Every 5 minutes to 3 hours, give or take a little; one to six calls at once.
    Periodic,
    /// Every 6 to 24 hours, give or take three minutes; one to three calls in a row.
    RareScheduled,
    /// At random, once in 2 to 12 hours on average.
    RareRandom,
    /// At random, at a rate that follows the hours of a day and the days of a week.
    Diurnal,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Bursty, Self::Periodic, Self::RareScheduled, Self::RareRandom, Self::Diurnal];
}

/// The calls of the function with that number, of one kind, sorted by time, before
/// `end`.
pub fn calls(kind: Kind, seed: u64, function: u64, end: Duration) -> Vec<Call> {
    let part = (function << 8) | kind as u64;
    let random = Random::part(seed, part);
    let mut calls = match kind {
        Kind::Bursty => kinds::bursty(random, end),
        Kind::Periodic => kinds::periodic(random, end),
        Kind::RareScheduled => kinds::rare_scheduled(random, end),
        Kind::RareRandom => kinds::rare_random(random, end),
        Kind::Diurnal => kinds::diurnal(random, end),
    };
    calls.sort();
    calls
}

/// The demand of a fleet in each of so many steps of [`seasonal`](crate::seasonal): days
/// and weekends, a tenth more each week, and noise of up to a tenth either way that
/// lasts for an hour or so.
pub fn fleet_demand(seed: u64, steps: u32) -> Vec<u64> {
    kinds::fleet_demand(Random::part(seed, u64::MAX), steps)
}
