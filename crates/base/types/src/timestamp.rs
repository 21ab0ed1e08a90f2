//! Wall-clock instants.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Milliseconds since the Unix epoch. `Display` writes AWS's form,
/// `2026-01-31T12:00:00.000+0000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time now, by the system clock.
    pub fn now() -> Self {
        Self(hearth_ambient::clock::unix_now().as_millis() as i64)
    }

    /// The same instant for libraries that take seconds.
    pub fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    fn broken_down(self) -> jiff::civil::DateTime {
        let instant =
            jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        jiff::tz::Offset::UTC.to_datetime(instant)
    }

    /// `2026-01-31T12:00:00.000Z`, the form of log lines.
    pub fn to_rfc3339(self) -> String {
        self.broken_down().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.broken_down().strftime("%Y-%m-%dT%H:%M:%S.%3f+0000"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_aws_does() {
        assert_eq!(Timestamp(1_700_000_000_042).to_string(), "2023-11-14T22:13:20.042+0000");
        assert_eq!(Timestamp(1_700_000_000_042).to_rfc3339(), "2023-11-14T22:13:20.042Z");
    }
}
