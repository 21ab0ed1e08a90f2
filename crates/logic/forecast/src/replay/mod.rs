//! What a forecast would have done on a recorded or made-up trace.

mod fleet;
mod function;

pub use fleet::{Score, replay_fleet};
pub use function::{Call, Cost, replay, replay_with};
