//! Partitions of the functions, and the leader of each: the real table of sandboxes.

use crate::keep::KEEP_ALIVE;
use crate::world::World;
use hearth_sandboxes::{Keeper, Missing, Moment, Owned, Running, Table};
use hearth_types::{ACCOUNT_CONCURRENCY_MAX, Partition, Reign, SandboxId, Timestamp};

/// Into how many partitions functions are divided.
pub(crate) const PARTITIONS: u16 = 16;

/// A partition, and who leads it.
pub(crate) struct Leader {
    pub(crate) reign: Reign,
    pub(crate) table: Table,
    pub(crate) keeper: Keeper,
    pub(crate) missing: Missing,
    /// What the journal says, while nobody leads.
    pub(crate) vacant: Option<Vec<(SandboxId, Owned)>>,
    /// A leader before, which does not know that its time is over.
    pub(crate) deposed: Option<(Reign, Table)>,
}

impl Leader {
    pub(crate) fn new(reign: Reign) -> Self {
        Self {
            reign,
            // An account's functions are all of one partition.
            table: Table::new(reign, Running::new(ACCOUNT_CONCURRENCY_MAX)),
            keeper: Keeper::new(KEEP_ALIVE),
            missing: Missing::default(),
            vacant: None,
            deposed: None,
        }
    }

    pub(crate) fn all() -> Vec<Self> {
        let first = |number| Self::new(Reign { partition: Partition(number), epoch: 1 });
        (0..PARTITIONS).map(first).collect()
    }

    pub(crate) fn serves(&self) -> bool {
        self.vacant.is_none()
    }
}

pub(crate) fn partition_of(function: u32) -> Partition {
    Partition((function % u32::from(PARTITIONS)) as u16)
}

impl World {
    pub(crate) fn leader(&mut self, partition: Partition) -> &mut Leader {
        &mut self.leaders[usize::from(partition.0)]
    }

    pub(crate) fn leader_of(&mut self, function: u32) -> &mut Leader {
        self.leader(partition_of(function))
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { at: self.now(), day: Timestamp(self.now_ms as i64) }
    }

    /// The next sandbox's id.
    pub(crate) fn fresh(&mut self) -> SandboxId {
        self.sandboxes += 1;
        let id = format!("{:032x}", self.sandboxes).parse();
        id.expect("32 digits are an id")
    }
}
