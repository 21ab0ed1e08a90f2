//! Assignment in a cluster: of each partition this node follows the journal, or leads, or
//! neither.
//!
//! ```text
//!              leader gone, and it is this node's turn           journal read, workers asked
//!  following ───────────────────────────────────────► claimed ───────────────────────────► leading
//!      ▲                (leader/P is ours)                    (leader/P has our epoch)        │
//!      └──────────────────────────────────────────────────────────────────────────────────────┘
//!          deposed, lease lost, handed over to the node whose turn it is
//! ```
//!
//! Who claims a partition gets it: nobody votes. That two do so at once, or one whose time
//! is over, does no harm, since the journal takes only the last one's records, and workers
//! obey only the last one they heard of.

mod election;
mod led;
mod member;
mod surroundings;

pub use led::Led;
pub use member::{Followed, PartitionsDeps, PartitionsService};
pub(crate) use surroundings::Surroundings;
