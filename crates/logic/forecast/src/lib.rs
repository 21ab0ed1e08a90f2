//! What will be wanted, by what was: how long an idle sandbox is kept and when one is
//! restored ahead of its event, and how much of the fleet will be in use. Pure: no I/O,
//! no clock, no randomness; times and seeds are passed in.
//!
//! ```text
//!  events of a function ─► FunctionDemand ─► sandboxes that should be idle now, and
//!                          (Arrivals of each)   when that changes
//!  fleet's use per step ─► Seasonal ───────► expected and upper demand in an hour
//!
//!  traces ─► replay ─► cold starts, idle time   (docs/forecast.md has the results)
//! ```
//!
//! - [`keep_alive`]: per function, after Shahrad et al., "Serverless in the Wild:
//!   Characterizing and Optimizing the Serverless Workload at a Large Cloud Provider"
//!   (USENIX ATC 2020).
//! - [`seasonal`]: per fleet.
//! - [`traces`] and [`replay`]: what there is to judge them by; `hearth sim` will use
//!   the same.
#![forbid(unsafe_code)]

pub mod keep_alive;
pub mod replay;
pub mod seasonal;
pub mod traces;
