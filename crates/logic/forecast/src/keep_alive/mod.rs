//! How long an idle sandbox is kept, and when one is restored ahead of an event.

mod arrivals;
mod demand;
mod histogram;
mod long_gaps;
mod percentiles;
mod policy;
mod prices;
mod value;
mod worth;

pub use arrivals::{Arrivals, FADE_AFTER};
pub use demand::{FunctionDemand, LEVELS_MAX};
pub use histogram::BINS;
pub use policy::{Fallback, HOLD_MAX, Policy, Rule, STANDARD_KEEP_ALIVE, Why, Window};

use std::time::Duration;

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes.saturating_mul(60))
}
