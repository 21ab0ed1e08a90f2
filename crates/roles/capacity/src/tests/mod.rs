//! Rounds of a manager over a made-up fleet and a real store, in made-up time.

mod failures;
mod fleet;
mod sickness;
mod size;

use crate::config::CapacityConfig;
use fleet::Fleet;
