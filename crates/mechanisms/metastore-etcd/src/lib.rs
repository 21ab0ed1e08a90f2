//! The cluster's engine of the [`MetaStore`] contract: etcd, version 3.4 or later.
//!
//! ```text
//! get, list ─► reads ─────┐
//! transact ──► transact ──┤            ┌─► member ─┐
//!                 │markers├─► members ─┼─► member  ├─ etcd
//! leases ────► leases ────┤  one call, └─► member ─┘
//! watch ─────► watch ─────┘  tried in turn
//! ```
//!
//! - A call goes to one member, and to the next if that does not answer in time. What
//!   may be asked twice is (`members`).
//! - A transaction may not. It writes a marker of its own, by which its outcome is
//!   found out after a failure, and which keeps it from happening later (`markers`).
//! - A watch that loses its member goes on at another where it was (`watch`).
//! - Everything of one Hearth lies under its namespace (`keyspace`).
//!
//! The few messages of etcd's protocol that are needed are written down in `wire`:
//! building this needs no compiler of protocol definitions.
//!
//! [`MetaStore`]: hearth_services::metastore::MetaStore
#![forbid(unsafe_code)]

mod error;
mod keyspace;
mod leases;
mod losses;
mod markers;
mod members;
mod options;
mod reads;
mod store;
mod transact;
mod watch;
mod wire;

pub use error::{EtcdError, OpenError};
pub use options::{EtcdOptions, EtcdTls};
pub use store::EtcdStore;
