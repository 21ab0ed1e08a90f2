//! What a worker has: it obeys the newest leader that it heard of, and runs one event at a
//! time in each sandbox, as the worker role does (`fences`, `holding`).

use crate::functions::{key, needs};
use crate::partitions::partition_of;
use crate::worker::SimWorker;
use hearth_services::worker::{Doing, HeldSandbox};
use hearth_types::{Hold, Partition, Reign, SandboxId};
use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

/// No id is less.
const LEAST: &str = "00000000000000000000000000000000";

/// A sandbox, as its worker knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guest {
    pub(crate) function: u32,
    pub(crate) doing: Doing,
    /// In whose name it ran its last event, or runs one.
    pub(crate) hold: Option<Hold>,
    /// Which run that is.
    pub(crate) run: u64,
}

/// All on one worker.
#[derive(Default)]
pub(crate) struct Guests {
    of: BTreeMap<(Partition, SandboxId), Guest>,
    /// The newest epoch of each partition that was heard of.
    heard: HashMap<Partition, u64>,
}

impl Guests {
    /// Whether an order in this name is obeyed; none that is older is from now on.
    pub(crate) fn obey(&mut self, reign: Reign) -> bool {
        let newest = self.heard.entry(reign.partition).or_insert(reign.epoch);
        let obeys = reign.epoch >= *newest;
        *newest = (*newest).max(reign.epoch);
        obeys
    }

    pub(crate) fn add(&mut self, id: SandboxId, function: u32) {
        let guest = Guest { function, doing: Doing::Starting, hold: None, run: 0 };
        let before = self.of.insert((partition_of(function), id), guest);
        assert!(before.is_none(), "{id} was created twice");
    }

    /// It is there, and waits.
    pub(crate) fn created(&mut self, function: u32, id: SandboxId) {
        let guest = self.of.get_mut(&(partition_of(function), id)).expect("it was admitted");
        assert_eq!(guest.doing, Doing::Starting, "{id} was created before");
        guest.doing = Doing::Idle;
    }

    /// Begins an event, unless one runs or the sandbox was given to another after `hold`.
    pub(crate) fn begin(&mut self, function: u32, id: SandboxId, hold: Hold, run: u64) -> bool {
        let Some(guest) = self.of.get_mut(&(hold.reign.partition, id)) else { return false };
        assert_eq!(guest.function, function, "{id} is of one version");
        let heard = self.heard.get(&hold.reign.partition);
        let is_late = guest.hold.is_some_and(|last| !hold.is_after(&last))
            || heard.is_some_and(|newest| hold.reign.epoch < *newest);
        if is_late || guest.doing != Doing::Idle {
            let last = guest.hold.map(|last| last.reign);
            let within_a_reign = last == Some(hold.reign) && heard == Some(&hold.reign.epoch);
            assert!(!within_a_reign, "one leader gave {id} to two events at once");
            return false;
        }
        (guest.doing, guest.hold, guest.run) = (Doing::Busy, Some(hold), run);
        true
    }

    pub(crate) fn ended(&mut self, function: u32, id: SandboxId) {
        let guest = self.of.get_mut(&(partition_of(function), id)).expect("it runs here");
        assert_eq!(guest.doing, Doing::Busy, "{id} ran an event");
        guest.doing = Doing::Idle;
    }

    pub(crate) fn remove(&mut self, function: u32, id: SandboxId) -> Option<Guest> {
        self.of.remove(&(partition_of(function), id))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (SandboxId, &Guest)> {
        self.of.iter().map(|((_, id), guest)| (*id, guest))
    }

    pub(crate) fn count(&self) -> usize {
        self.of.len()
    }

    /// Those of one partition.
    pub(crate) fn of(&self, partition: Partition) -> impl Iterator<Item = (SandboxId, &Guest)> {
        let least = SandboxId::from_str(LEAST).expect("it is an id");
        let of_it = self.of.range((partition, least)..(Partition(partition.0 + 1), least));
        of_it.map(|((_, id), guest)| (*id, guest))
    }

    pub(crate) fn function_of(&self, partition: Partition, id: SandboxId) -> Option<u32> {
        self.of.get(&(partition, id)).map(|guest| guest.function)
    }

    /// What a leader is told.
    pub(crate) fn held(&self, partition: Partition) -> Vec<HeldSandbox> {
        let told = |(id, guest): (SandboxId, &Guest)| HeldSandbox {
            id,
            key: key(guest.function),
            hold: guest.hold,
            doing: guest.doing,
        };
        self.of(partition).map(told).collect()
    }
}

impl SimWorker {
    /// Takes a sandbox out, and gives its room back.
    pub(crate) fn release(&mut self, function: u32, id: SandboxId) -> Option<Guest> {
        let guest = self.guests.remove(function, id)?;
        self.give_back(&needs(function));
        Some(guest)
    }
}
