//! The embedded engine of the [`MetaStore`] contract: one redb file, synced on
//! every commit, for a Hearth that runs on one machine.
//!
//! ```text
//! transact ─► queue ─► writer thread ─► redb commit (sync) ─► history ─► replies
//!            bounded   one group of                            │
//!                      waiting txns                            └─► watches
//! get, list ─► blocking pool ─► redb snapshot
//! ```
//!
//! - One thread writes. Transactions that wait while it syncs are committed
//!   together, so they share the next sync (`writer`).
//! - Watches are served from a bounded history in memory (`history`); one
//!   that falls behind it is told so, and nobody waits for it.
//! - Leases live in memory; the file says which keys have one. A second thread tells
//!   the writer which are over (`leases`).
//! - A failed commit closes and reopens the file, because what of it reached
//!   the disk is unknown until then (`engine`).
//!
//! [`MetaStore`]: hearth_services::metastore::MetaStore
#![forbid(unsafe_code)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod engine;
#[cfg(test)]
mod faults;
mod history;
mod leases;
mod store;
mod writer;

pub use store::{OpenError, RedbStore};
