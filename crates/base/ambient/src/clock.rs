//! The time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the Unix epoch, by the system clock. Zero if that clock is set
/// before the epoch.
pub fn unix_now() -> Duration {
    #[cfg(any(test, feature = "test-util"))]
    if let Some(at) = SET.get() {
        return at;
    }
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(any(test, feature = "test-util"))]
thread_local! {
    static SET: std::cell::Cell<Option<Duration>> = const { std::cell::Cell::new(None) };
}

/// Stops the clock of this thread at a time since the epoch, for a test.
/// Everything on a current-thread runtime sees it.
#[cfg(any(test, feature = "test-util"))]
pub fn set(unix: Duration) {
    SET.set(Some(unix));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_whose_clock_is_set_sees_that_time() {
        let real = unix_now();
        assert!(real > Duration::from_secs(1_700_000_000));
        set(Duration::from_secs(7));
        assert_eq!(unix_now(), Duration::from_secs(7));
        let elsewhere = std::thread::spawn(unix_now).join().unwrap();
        assert!(elsewhere >= real, "other threads keep the real time");
    }
}
