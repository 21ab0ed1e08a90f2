//! What a process takes from its surroundings rather than from its callers: the
//! time of day and randomness. All of Hearth takes them here (clippy bans other
//! ways), so that a test can say what time it is and what chance brings.
//!
//! Spans of time are measured with `tokio::time::Instant`, which a test can pause.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "this is the other way")]

pub mod clock;
pub mod random;
