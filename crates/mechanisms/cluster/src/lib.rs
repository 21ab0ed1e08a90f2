//! What makes processes a cluster: who is there, who leads what, and the services' traits
//! across processes.
//!
//! ```text
//!  metadata store ─ node/ ───► View ─► Membership (this node's lease), ranks of nodes
//!                 └ leader/ ─► View ─► Router ── acquire, release ──► leader of the partition
//!                              View ─► Workers ─ create, invoke, … ─► worker
//! ```
//!
//! - [`View`] mirrors records under a prefix, as a watch tells of them.
//! - [`Membership`] keeps this node's own record, and knows when it can no more.
//! - [`Router`] is `Assignment`, and [`Workers`] is `WorkerDirectory`, wherever their
//!   services run; `serve_…` is the other end of both.
#![forbid(unsafe_code)]

mod assignment_calls;
mod directory;
mod leaders;
mod leading;
mod log_calls;
mod membership;
mod node_calls;
mod other_leaders;
mod partition;
mod permissions;
mod rank;
mod router;
mod snapshot_calls;
mod turn;
mod view;
mod warm_calls;
mod wire;
mod worker_calls;

pub use assignment_calls::serve_assignment;
pub use directory::Workers;
pub use leaders::{Idle, Leaders, NotLed, Spare};
pub use log_calls::{ClusterLogs, serve_logs};
pub use membership::{JoinError, Membership, NODE_TTL};
pub use node_calls::{LedPartition, NodeStatus, node_status, serve_node};
pub use other_leaders::OtherLeaders;
pub use partition::partition_of;
pub use permissions::may_call;
pub use rank::{FOLLOWERS, ranked};
pub use router::Router;
pub use snapshot_calls::{RemoteSnapshots, serve_snapshots};
pub use turn::Turn;
pub use view::{Records, Seen, View, ViewError};
pub use worker_calls::serve_worker;
