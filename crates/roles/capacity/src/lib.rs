//! The capacity manager: looks after the workers of a cluster. It asks each how it is,
//! keeps their health and how the fleet is used, and carries out what the planner decides:
//! it makes no choice itself. One node at a time does this.
//!
//! ```text
//!  nodes ── how are you? ──► Roster ─► health, stage ─► planner ─► cordon, drain ─► store
//!    └──── in use, refused ─► Demand ─► forecast ─────► planner ─► start, stop ───► Hands
//!                                                                                    │
//!                             Coming ◄── asked for, not there yet ──── WorkerProvider ┘
//! ```
//!
//! What must outlive a manager is in the metadata store, and written only as long as the
//! turn is this node's ([`hearth_cluster::Turn`]): standings, the use so far, and what was asked for.
#![forbid(unsafe_code)]

mod coming;
mod config;
mod demand;
mod hands;
mod ledger;
mod manager;
mod metrics;
mod nodes;
mod provider;
mod resize;
mod roster;
mod service;

pub use config::{CapacityConfig, CommandConfig, InvalidCapacity, ProcessConfig, ProviderConfig};
pub use ledger::LedgerError;
pub use metrics::register_metrics;
pub use nodes::{ClusterNodes, Nodes};
pub use provider::{
    CommandProvider, Ended, Machine, ProcessProvider, ProviderError, WorkerProvider,
};
pub use service::{CapacityDeps, CapacityService};

#[cfg(test)]
mod tests;
