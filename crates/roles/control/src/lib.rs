//! Control is responsible for functions, their versions and code, and for
//! accounts: everything that an API call can change.
//!
//! ```text
//! create, update ─► package checked ─► files stored ─► one transaction ─► visible
//!                   (may refuse)       (may be orphaned) (compares, retried)
//! ```
//!
//! - What is visible is complete: code is judged, its image is built and both
//!   are synced before the one transaction that names them
//!   (`docs/decisions/0002-code-is-ready-before-it-is-acknowledged.md`).
//! - A version that is published with `SnapStart` is visible as `Pending` first, and
//!   `Active` once its snapshot is built
//!   (`docs/decisions/0014-publishing-with-a-snapshot-is-asynchronous.md`).
//! - Changes are optimistic: each transaction requires that what it read is
//!   still so, and is retried a bounded number of times.
//! - What a crash leaves behind (packages that nothing names, versions whose
//!   function is gone) is invisible, and [`ControlService::sweep`] removes it. Files
//!   without a package go with a collection of chunks, which leaves those that
//!   [`ControlService::code_files`] names.
#![forbid(unsafe_code)]

mod accounts;
mod aliases;
mod builds;
mod code;
mod create;
mod delete;
mod error;
mod listing;
mod marker;
mod mend;
mod metrics;
mod publish;
mod records;
mod service;
mod snap_start;
mod sweep;
mod sweep_snapshots;
mod tags;
mod update;
mod usage;
mod versions_of_snapshots;

pub use metrics::register_metrics;
pub use service::{ControlDeps, ControlService};
pub use sweep::Swept;
