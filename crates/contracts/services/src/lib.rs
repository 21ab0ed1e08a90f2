//! Contracts between roles: one trait per service, and the plain data that
//! crosses it.
//!
//! A role depends on these and never on another role. In one process a call
//! through a trait is a direct call; across processes the same traits will be
//! served over gRPC, so everything that crosses one is owned, bounded data.
#![forbid(unsafe_code)]

pub mod assignment;
pub mod cluster;
pub mod control;
pub mod keys;
pub mod logs;
pub mod metastore;
pub mod placement;
pub mod snapshots;
pub mod worker;
