//! How long something has taken, be it that the machine slept, or that its clock was set.

use hearth_ambient::clock;
use std::time::Duration;
use tokio::time::Instant;

/// Counts from its making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    /// Stands still while the machine sleeps.
    since: Instant,
    since_by_clock: Duration,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { since: Instant::now(), since_by_clock: clock::unix_now() }
    }

    /// The longer of what two clocks say.
    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed().max(clock::unix_now().abs_diff(self.since_by_clock))
    }
}
