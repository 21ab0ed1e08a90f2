//! A fleet of simulated workers under the real planner, the real fleet planner and the
//! real forecasts: thousands of workers and a million functions on one machine, in
//! minutes, and the same again from the same seed.
//!
//! ```text
//!  traffic ─► acquire ─► table ── idle one ──► runs ─► ends ─► keep-alive (forecast)
//!                          └─ none ─► Fleet::choose ─► admission ─► create ─┘
//!  heartbeats, late ─► Fleet::upsert           ▲
//!  looks ─► Record, replacements ──────────────┤ cordons, deaths
//!  steps ─► Seasonal, Sizing ──────────────────┘ gains, losses
//! ```
//!
//! No time, no threads, no I/O: events of a queue, one after the other. What must always
//! hold is asserted while it runs; a run that breaks it panics and says when.
//!
//! Traces are made up (`hearth-forecast`), and so are latencies: a run compares policies
//! and finds what breaks them; it does not say what a real fleet would do.
#![forbid(unsafe_code)]

mod acquire;
mod capacity;
mod events;
mod figures;
mod functions;
mod guests;
mod keep;
mod kills;
mod leaders;
mod loss;
mod partitions;
mod random;
mod report;
mod runs;
mod scenario;
mod starts;
mod traffic;
mod worker;
mod world;

pub use report::Report;
pub use scenario::{Kind, OutOfBounds, Scenario, UnknownKind};

/// Runs a scenario to its end.
///
/// # Panics
/// If something happens that never may: two events in one sandbox, a worker over its
/// room, a sandbox where none may be, a queue over its bound.
pub fn run(scenario: &Scenario, seed: u64) -> Result<Report, OutOfBounds> {
    scenario.check()?;
    Ok(world::World::new(*scenario, seed).run())
}
