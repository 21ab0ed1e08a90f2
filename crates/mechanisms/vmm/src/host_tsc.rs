//! The rate of the host's time-stamp counter, which the guest kernel must be
//! told: without a PIT it has nothing to measure it against.
#![allow(clippy::disallowed_methods, reason = "it measures the hardware")]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the counter is watched.
const CALIBRATION: Duration = Duration::from_millis(20);
/// A reading that took longer than this (in ticks) was interrupted, and is not used.
const READING_TICKS_MAX: u64 = 20_000;
/// Tries to get an uninterrupted reading; then the last one has to do.
const READINGS_MAX: usize = 100;

/// Where the rate is kept, in the instance's directory.
const KEPT: &str = "tsc_khz";
/// How far a measurement may be from the rate that is kept and mean the same
/// counter: each of the two errs by up to 500 ppm.
const SAME_PPM: u64 = 1000;

/// The rate in kHz, the same at every start on one host: it is part of the machine's
/// name, so with another one no snapshot of before could be restored. What was measured
/// first is kept in `dir`, until a measurement shows that the host is another.
pub(crate) fn kept_khz(dir: &Path) -> io::Result<u64> {
    keep(dir, khz())
}

fn keep(dir: &Path, measured: u64) -> io::Result<u64> {
    let path = dir.join(KEPT);
    let kept = match fs::read(&path) {
        // A damaged one is as good as none.
        Ok(text) => std::str::from_utf8(&text).ok().and_then(|text| text.trim_end().parse().ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match kept {
        Some(kept) if is_same(kept, measured) => return Ok(kept),
        Some(kept) => tracing::warn!(
            kept,
            measured,
            "the host's time-stamp counter has another rate than before, so snapshots of before \
             cannot be restored"
        ),
        None => {}
    }
    // Whole or not there, whenever the host fails.
    let staged = path.with_extension("new");
    let mut file = File::create(&staged)?;
    writeln!(file, "{measured}")?;
    file.sync_all()?;
    fs::rename(&staged, &path)?;
    File::open(dir)?.sync_all()?;
    Ok(measured)
}

fn is_same(kept: u64, measured: u64) -> bool {
    // As wide as no text in a file can overflow.
    u128::from(kept.abs_diff(measured)) * 1_000_000 <= u128::from(kept) * u128::from(SAME_PPM)
}

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

    #[test]
    fn the_first_measurement_is_kept_as_long_as_it_fits() {
        let dir = tempfile::tempdir().unwrap();
        let start = |measured| keep(dir.path(), measured).unwrap();
        assert_eq!(start(2_000_000), 2_000_000);
        assert_eq!(start(2_002_000), 2_000_000, "1000 ppm more");
        assert_eq!(start(1_998_000), 2_000_000, "and less");
        // Never from the last measurement, or it would wander.
        assert_eq!(start(2_000_001), 2_000_000);
        assert_eq!(start(2_002_001), 2_002_001, "another host");
        assert_eq!(start(2_000_001), 2_002_001, "and this is kept from now on");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_damaged_rate_is_measured_anew() {
        let dir = tempfile::tempdir().unwrap();
        for damaged in
            [&b"99999999999999999999"[..], b"", b"\xff", b"-1\n", b"18446744073709551615"]
        {
            fs::write(dir.path().join(KEPT), damaged).unwrap();
            assert_eq!(keep(dir.path(), 2_000_000).unwrap(), 2_000_000);
            assert_eq!(keep(dir.path(), 2_000_002).unwrap(), 2_000_000);
        }
        assert!(keep(&dir.path().join("missing"), 2_000_000).is_err());
    }

    #[test]
    fn two_starts_have_the_same_rate() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(kept_khz(dir.path()).unwrap(), kept_khz(dir.path()).unwrap());
    }
}
