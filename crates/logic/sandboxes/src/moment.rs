//! What time it is, as whoever keeps a table tells it.

use hearth_types::Timestamp;
use std::time::Duration;

/// A moment on both clocks. All decisions are made by the first; the second is only shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since any fixed time; it never goes back.
    pub at: Duration,
    /// The time of day.
    pub day: Timestamp,
}
