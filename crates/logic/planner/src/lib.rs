//! Decisions as pure functions over plain data. No I/O, no clock, no randomness; the
//! roles that call these make no choices of their own.
//!
//! - [`placement`]: which worker gets a new sandbox, and why.
//! - [`capacity`]: how many workers each zone should have, which are well, and which
//!   are replaced.
//! - [`evictions_for`]: which idle sandboxes make room for a new one.
#![forbid(unsafe_code)]

pub mod capacity;
mod evict;
mod place;
pub mod placement;

pub use evict::{IdleSandbox, evictions_for};
pub use place::{Candidate, choose_worker, least_shortage};
