//! A leader's sandboxes as plain data: which are idle, busy or starting, who gets one,
//! which have to go, and how what is believed of them and what workers say come together.
//! Pure: no I/O, no clock, no randomness; moments and ids are passed in. The role
//! `assignment` and the simulation run the same.
//!
//! ```text
//!                    begin                         release
//!   ┌─────────┐    (no idle)    ┌──────────┐ made  ┌──────┐ ──────► ┌──────┐
//!   │ nothing │ ──────────────► │ starting │ ────► │ busy │ ◄────── │ idle │
//!   └─────────┘  inherit ──────►└────┬─────┘       └──┬───┘  begin  └──┬───┘
//!        ▲                           │ failed         │ discarded      │ expire, drain,
//!        └───────────────────────────┴────────────────┴────────────────┘ evict, retire
//! ```
//!
//! - [`Table`]: the sandboxes. `invocations` has how events get them, `ends` how they go,
//!   `inherited` what an earlier leader's are taken for, `views` what others see.
//! - [`Running`]: how many invocations each account has running, for all tables of a process.
//! - [`Keeper`]: how long idle ones are kept, and which are made ahead, by what was so far.
//! - [`Table::compare`], [`Table::forget_lost`]: reconciling with workers.
#![forbid(unsafe_code)]

mod ages;
mod ahead;
mod ends;
mod entry;
mod inherited;
mod invocations;
mod keeper;
mod moment;
mod notes;
mod reconcile;
mod running;
mod table;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod views;

pub use entry::{Owned, Wanted};
pub use invocations::Begin;
pub use keeper::{AHEAD_MAX, Keeper};
pub use moment::Moment;
pub use notes::News;
pub use reconcile::{Found, Missing};
pub use running::Running;
pub use table::Table;
