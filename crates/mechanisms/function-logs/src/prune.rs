//! Which segments go. A log outlives its function, as a log group does at AWS, so
//! something else must end it: age, and a bound on each account's logs together.

use std::time::{Duration, SystemTime};

/// How long a segment is kept after it was written to last.
pub const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most disk that the logs of one account may take: 64 functions' full logs. One
/// account cannot push out another's.
pub const ACCOUNT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// What the smallest file takes, so that many small ones count too.
const BLOCK_BYTES: u64 = 4096;

/// A segment of some log `L` of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aged<L> {
    pub(crate) log: L,
    /// Position of its first byte.
    pub(crate) start: u64,
    pub(crate) bytes: u64,
    pub(crate) written: SystemTime,
}

/// The segments of an account that must go, those written longest ago first.
pub(crate) fn doomed<L>(mut segments: Vec<Aged<L>>, now: SystemTime) -> Vec<Aged<L>> {
    let disk_bytes = |segment: &Aged<L>| segment.bytes.next_multiple_of(BLOCK_BYTES);
    let mut left_bytes: u64 = segments.iter().map(disk_bytes).sum();
    // By position too, so that of one log the oldest goes first, whatever the
    // grain of the file system's clock.
    segments.sort_by_key(|segment| (segment.written, segment.start));
    let goes = |segment: &Aged<L>| {
        let over = left_bytes > ACCOUNT_BYTES_MAX;
        left_bytes -= disk_bytes(segment);
        over || now.duration_since(segment.written).is_ok_and(|age| age > KEPT)
    };
    let count = segments.iter().map(goes).take_while(|goes| *goes).count();
    segments.truncate(count);
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn segment(log: &str, start: u64, bytes: u64, age: Duration) -> Aged<&str> {
        Aged { log, start, bytes, written: NOW - age }
    }

    #[test]
    fn what_is_old_goes() {
        let old = segment("f", 0, 1, KEPT + Duration::from_secs(1));
        let all = vec![segment("f", 1, 1, KEPT), old.clone(), segment("g", 0, 1, Duration::ZERO)];
        assert_eq!(doomed(all, NOW), [old]);
    }

    #[test]
    fn what_is_over_the_bound_goes_oldest_first() {
        let quarter = ACCOUNT_BYTES_MAX / 4;
        let age = |s| Duration::from_secs(s);
        let fits = vec![
            segment("a", 0, quarter, age(4)),
            segment("b", quarter, quarter, age(2)),
            segment("b", 0, quarter, age(2)),
            segment("c", 0, quarter, age(1)),
        ];
        assert_eq!(doomed(fits.clone(), NOW), []);
        let over = [fits, vec![segment("d", 0, quarter + 1, age(0))]].concat();
        let logs: Vec<_> = doomed(over, NOW).into_iter().map(|s| (s.log, s.start)).collect();
        assert_eq!(logs, [("a", 0), ("b", 0)]);
    }

    #[test]
    fn very_many_small_logs_count_as_what_they_take() {
        let many = ACCOUNT_BYTES_MAX / BLOCK_BYTES + 10;
        let all = (0..many).map(|n| segment("f", n, 1, Duration::ZERO)).collect();
        assert_eq!(doomed(all, NOW).len(), 10);
    }
}
