//! Who orders sandboxes about, and in whose name one runs an event.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A part of all functions. It has one leader at a time, which alone changes its
/// sandboxes, and a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub u16);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:05}", self.0)
    }
}

/// The time of one leader of one partition. Epochs only grow: an order of an older one
/// than was heard of comes from a leader that was deposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reign {
    /// Of which part.
    pub partition: Partition,
    /// Its number; the first is 1.
    pub epoch: u64,
}

impl Reign {
    /// Where one process is all there is.
    pub const ALONE: Self = Self { partition: Partition(0), epoch: 1 };
}

impl fmt::Display for Reign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {} epoch {}", self.partition.0, self.epoch)
    }
}

/// That one invocation has a sandbox for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hold {
    /// Who gave it.
    pub reign: Reign,
    /// Which of those that were given in that reign.
    pub serial: u64,
}

impl Hold {
    /// Whether it was given after `other`, of the same partition.
    pub fn is_after(&self, other: &Self) -> bool {
        (self.reign.epoch, self.serial) > (other.reign.epoch, other.serial)
    }
}
