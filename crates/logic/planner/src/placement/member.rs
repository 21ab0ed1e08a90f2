//! A worker as it tells of itself.

use hearth_types::{Room, WorkerId};

/// A failure domain: what fails together with its workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(pub u16);

/// A function, by a hash that all who ask agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionKey(pub u64);

/// Something that a start needs and a worker may have in its cache: a function's
/// snapshot, a runtime's, an image; by a hash that all who ask agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layer(pub u64);

/// Whether a worker gets sandboxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    #[default]
    Healthy,
    /// Only if no healthy one can take it.
    Suspect,
    /// No: what it has is taken for lost.
    Sick,
    /// No; what it has stays.
    Cordoned,
    /// No; what is idle goes, what is busy ends.
    Draining,
}

impl Standing {
    /// Whether it may get any at all.
    pub fn takes_sandboxes(self) -> bool {
        matches!(self, Self::Healthy | Self::Suspect)
    }
}

/// A worker's state at one of its revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which worker.
    pub worker: WorkerId,
    /// Where it is.
    pub zone: Zone,
    /// Grows whenever a sandbox is admitted or gone; what orders a worker's states, as
    /// heartbeats may overtake each other.
    pub revision: u64,
    /// Whether it gets sandboxes.
    pub standing: Standing,
    /// What sandboxes may take.
    pub total: Room,
    /// Of it, promised to living sandboxes.
    pub promised: Room,
    /// Thousandths of processors that it has. They are shared by weight, so a lack of
    /// them is no reason to refuse (decision 5).
    pub cpu_milli_total: u64,
    /// Of these, in use lately.
    pub cpu_milli_used: u64,
    /// Living sandboxes.
    pub sandboxes: u32,
    /// Most that it will hold.
    pub sandboxes_max: u32,
    /// Memory that by the forecast will be wanted here soon, beyond what is promised.
    pub expected_bytes: u64,
    /// How many sandboxes of each function it has.
    pub functions: Vec<(FunctionKey, u32)>,
    /// What is in its cache, of what anybody could ask for.
    pub layers: Vec<Layer>,
}
