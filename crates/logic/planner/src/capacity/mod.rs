//! How many workers there are, and which: decisions for whoever runs them.
//!
//! ```text
//!  heartbeats, outcomes ─► Record::look ─► healthy, suspect, sick ─► replacements
//!                                                            cordon ─► drain ─► replace
//!  in use, forecast ─────► Sizing::step ─► gain, drain, lose, by zone ─► departures
//! ```
//!
//! Each is to be asked again and again at an even pace, and bounds what changes at once:
//! a wrong figure costs a few workers before somebody looks, not the fleet.

mod health;
mod leave;
mod replace;
mod size;

pub use health::{Health, Record, SICK_AFTER, SUSPECT_AFTER, Signs};
pub use leave::{Candidate, Departures, departures, recovered};
pub use replace::{Action, DRAIN_LOOKS_MAX, Stage, WorkerState, replacements, under_way_max};
pub use size::{CALM_STEPS, Limits, Load, Sizing, ZoneChange, ZoneSize, wanted_workers};
