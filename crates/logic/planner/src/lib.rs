//! Decisions as pure functions over plain data: where a new sandbox goes and
//! which idle ones make room for it. No I/O, no clock, no randomness; the
//! roles that call these make no choices of their own.
#![forbid(unsafe_code)]

mod evict;
mod place;

pub use evict::{IdleSandbox, evictions_for};
pub use place::{Candidate, choose_worker, least_shortage};
