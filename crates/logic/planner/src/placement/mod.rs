//! Which worker of a large fleet gets a new sandbox, and why.
//!
//! ```text
//!  heartbeats ─► upsert ─┐
//!  decisions ─► promise ─┼─► Fleet ──► choose(request, seed) ─► worker, reasons
//!  answers ─► admitted, ─┘    │             │
//!             unpromise       │             ├─ a few of each zone, and of those that
//!                             │             │  have the snapshot
//!                             │             └─ if nothing of these is good, all
//!                             └─ never less          are looked at
//!                                taken than it is
//! ```
//!
//! A choice depends on what the fleet is and on the seed, not on the order in which it
//! was told: a recorded decision can be replayed.
//!
//! Of few workers the best of a sample is nearly as good as the best of all (Mitzenmacher,
//! "The Power of Two Choices in Randomized Load Balancing", 2001), and leaders that
//! decide at the same time do not all pick the same one.

mod choose;
mod fleet;
mod holders;
mod left;
mod member;
mod promises;
mod record;
mod sample;
mod score;
mod spread;
mod zones;

pub use choose::{Decision, Refusal, Request};
pub use fleet::Fleet;
pub use member::{FunctionKey, Layer, Member, Standing, Zone};
pub use score::{Reasons, Tier, ZONE_GAP_MAX_PER_MILLE};
pub use spread::{SHARE_ONE_IN, most_on_one_worker};
