//! The rate of the host's time-stamp counter, which the guest kernel must be
//! told: without a PIT it has nothing to measure it against.
#![allow(clippy::disallowed_methods, reason = "it measures the hardware")]

use std::time::{Duration, Instant};

/// How long the counter is watched.
const CALIBRATION: Duration = Duration::from_millis(20);
/// A reading that took longer than this (in ticks) was interrupted, and is not used.
const READING_TICKS_MAX: u64 = 20_000;
/// Tries to get an uninterrupted reading; then the last one has to do.
const READINGS_MAX: usize = 100;

/// Rate in kHz, measured against the monotonic clock: `/proc/cpuinfo` shows the
/// core's momentary clock rate, which is another thing on most hosts.
pub fn khz() -> u64 {
    let (started, first) = reading();
    while started.elapsed() < CALIBRATION {
        std::hint::spin_loop();
    }
    let (ended, last) = reading();
    // Under 2⁶⁴ by far: a few hundred million ticks times a million.
    (last - first) * 1_000_000 / (ended - started).as_nanos() as u64
}

/// The clock and the counter at the same moment.
fn reading() -> (Instant, u64) {
    let mut readings = (0..READINGS_MAX).map(|_| {
        let before = counter();
        let now = Instant::now();
        (now, before, counter() - before)
    });
    let mut last = None;
    let quiet = readings.find(|r| {
        last = Some(*r);
        r.2 < READING_TICKS_MAX
    });
    let (now, ticks, _) = quiet.or(last).expect("at least one reading");
    (now, ticks)
}

#[allow(unsafe_code)]
fn counter() -> u64 {
    // SAFETY: RDTSC exists on every x86-64.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_measurements_agree() {
        let (a, b) = (khz(), khz());
        assert!(a > 100_000, "{a} kHz");
        // The guest kernel tolerates 500 ppm before its clock visibly drifts.
        assert!(a.abs_diff(b) * 2_000 < a, "{a} and {b} kHz");
    }
}
