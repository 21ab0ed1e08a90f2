//! The view of the fleet that decisions are made on, kept up to date by every heartbeat
//! and every decision.

use super::holders::Holders;
use super::left::LeftOfOne;
use super::member::{FunctionKey, Member, Standing};
use super::promises::{Promise, Promises};
use super::spread::Spread;
use super::zones::Zones;
use hearth_types::{Room, SandboxId, WorkerId};
use std::collections::HashMap;

/// All workers that are known. Takes about 400 bytes for each, and 30 for each function
/// and layer that it has.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    slots: HashMap<WorkerId, u32>,
    vacant: Vec<u32>,
    pub(crate) entries: Vec<Option<Entry>>,
    pub(crate) zones: Zones,
    pub(crate) spread: Spread,
    pub(crate) holders: Holders,
    pub(crate) promises: Promises,
}

/// A worker, with what it was promised since it told of itself.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) member: Member,
    pub(crate) taken: Room,
    pub(crate) cpu_milli_used: u64,
    pub(crate) sandboxes: u32,
}

impl Entry {
    /// Whether it takes a sandbox that needs so much.
    pub(crate) fn holds(&self, need: Room) -> bool {
        let left = self.left();
        self.member.standing.takes_sandboxes() && left.places > 0 && left.room.holds(need)
    }

    fn left(&self) -> LeftOfOne {
        let member = &self.member;
        let healthy = member.standing == Standing::Healthy;
        if !member.total.holds(self.taken) {
            // One that promised too much takes not even what needs nothing.
            return LeftOfOne { healthy, ..LeftOfOne::default() };
        }
        let places = member.sandboxes_max.saturating_sub(self.sandboxes);
        LeftOfOne { room: member.total.less(self.taken), places, healthy }
    }
}

impl Fleet {
    /// A worker tells of itself, for the first time or again. False if it told of
    /// something newer before: nothing changes then. A worker stays in its zone, and a late
    /// heartbeat of one that was removed would bring it back.
    pub fn upsert(&mut self, mut member: Member) -> bool {
        member.functions.sort_unstable();
        member.layers.sort_unstable();
        member.layers.dedup();
        let slot = match self.slots.get(&member.worker) {
            Some(slot) => *slot,
            None => self.vacate(member.worker),
        };
        let Some(known) = self.entries[slot as usize].take() else {
            self.hold(slot, None, &member);
            self.settle(slot, member);
            return true;
        };
        if member.revision < known.member.revision {
            self.entries[slot as usize] = Some(known);
            return false;
        }
        self.close(&known);
        member.zone = known.member.zone;
        if member.total != known.member.total || member.standing != known.member.standing {
            self.leave(&known.member);
        }
        self.hold(slot, Some(&known.member), &member);
        for sandbox in self.promises.counted(slot, member.revision) {
            if let Some(promise) = self.promises.remove(&sandbox) {
                self.spread.take(promise.function, slot, member.zone, 1);
            }
        }
        self.settle(slot, member);
        true
    }

    /// Forgets a worker, and what it was promised.
    pub fn remove(&mut self, worker: &WorkerId) {
        let Some(slot) = self.slots.remove(worker) else { return };
        let Some(entry) = self.entries[slot as usize].take() else { return };
        self.close(&entry);
        self.leave(&entry.member);
        let nothing = Member { functions: Vec::new(), layers: Vec::new(), ..entry.member.clone() };
        self.hold(slot, Some(&entry.member), &nothing);
        for sandbox in self.promises.of_slot(slot) {
            if let Some(promise) = self.promises.remove(&sandbox) {
                self.spread.take(promise.function, slot, entry.member.zone, 1);
            }
        }
        self.vacant.push(slot);
    }

    /// Whether a worker gets sandboxes from now on.
    pub fn set_standing(&mut self, worker: &WorkerId, standing: Standing) {
        let Some(&slot) = self.slots.get(worker) else { return };
        let Some(mut entry) = self.entries[slot as usize].take() else { return };
        self.close(&entry);
        self.leave(&entry.member);
        entry.member.standing = standing;
        self.open(slot, entry);
    }

    /// A sandbox will be on a worker that was chosen for it. False, and nothing is noted,
    /// if the worker is not known, takes none or has no room for it, or if the sandbox is
    /// promised already.
    ///
    /// Whoever promised has to say how it ended, by [`admitted`](Self::admitted) or
    /// [`unpromise`](Self::unpromise): what nobody hears of again stays promised for as
    /// long as its worker is known.
    pub fn promise(
        &mut self,
        worker: &WorkerId,
        sandbox: SandboxId,
        function: FunctionKey,
        room: Room,
        cpu_milli: u64,
    ) -> bool {
        let Some(&slot) = self.slots.get(worker) else { return false };
        let holds = |entry: &Entry| entry.holds(room);
        if self.promises.has(&sandbox) || !self.entries[slot as usize].as_ref().is_some_and(holds) {
            return false;
        }
        let Some(entry) = self.entries[slot as usize].take() else { return false };
        self.promises.add(sandbox, Promise { slot, function, room, cpu_milli, admitted: None });
        self.spread.add(function, slot, entry.member.zone, 1);
        self.close(&entry);
        self.settle(slot, entry.member);
        true
    }

    /// A sandbox that was promised did not come to be.
    pub fn unpromise(&mut self, sandbox: &SandboxId) {
        let Some(promise) = self.promises.remove(sandbox) else { return };
        let Some(entry) = self.entries[promise.slot as usize].take() else { return };
        self.spread.take(promise.function, promise.slot, entry.member.zone, 1);
        self.close(&entry);
        self.settle(promise.slot, entry.member);
    }

    /// The worker has the sandbox that was promised, and counts it from this revision on.
    pub fn admitted(&mut self, sandbox: &SandboxId, revision: u64) {
        let Some(slot) = self.promises.admitted(sandbox, revision) else { return };
        let known = self.entries[slot as usize].as_ref().map(|entry| entry.member.revision);
        if known.is_some_and(|known| known >= revision) {
            self.unpromise(sandbox);
        }
    }

    /// What a worker has left by all that is known; `None` if it is not.
    pub fn room_left(&self, worker: &WorkerId) -> Option<Room> {
        let entry = self.entries[*self.slots.get(worker)? as usize].as_ref()?;
        Some(entry.member.total.less(entry.taken))
    }

    /// What a worker told last.
    pub fn member(&self, worker: &WorkerId) -> Option<&Member> {
        let slot = *self.slots.get(worker)?;
        self.entries[slot as usize].as_ref().map(|entry| &entry.member)
    }

    /// How many workers are known.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn vacate(&mut self, worker: WorkerId) -> u32 {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(None);
            (self.entries.len() - 1) as u32
        });
        self.slots.insert(worker, slot);
        slot
    }

    /// Counts functions and layers that a worker has now in place of those it had.
    fn hold(&mut self, slot: u32, before: Option<&Member>, now: &Member) {
        let had: &[(FunctionKey, u32)] = before.map_or(&[], |m| &m.functions);
        for (function, count) in had.iter().filter(|f| now.functions.binary_search(f).is_err()) {
            self.spread.take(*function, slot, now.zone, *count);
        }
        for (function, count) in now.functions.iter().filter(|f| had.binary_search(f).is_err()) {
            self.spread.add(*function, slot, now.zone, *count);
        }
        let had = before.map_or(&[][..], |m| &m.layers);
        for layer in had.iter().filter(|l| now.layers.binary_search(l).is_err()) {
            self.holders.take(*layer, now.worker);
        }
        for layer in now.layers.iter().filter(|l| had.binary_search(l).is_err()) {
            self.holders.add(*layer, now.worker, slot);
        }
    }

    /// Has a worker be what it told, and beyond that what it was promised.
    fn settle(&mut self, slot: u32, member: Member) {
        let (mut taken, mut cpu_milli_used) = (member.promised, member.cpu_milli_used);
        let mut sandboxes = member.sandboxes;
        for sandbox in self.promises.of_slot(slot) {
            if let Some(promise) = self.promises.get(&sandbox) {
                taken = taken.plus(promise.room);
                cpu_milli_used = cpu_milli_used.saturating_add(promise.cpu_milli);
                sandboxes = sandboxes.saturating_add(1);
            }
        }
        self.open(slot, Entry { member, taken, cpu_milli_used, sandboxes });
    }

    fn open(&mut self, slot: u32, entry: Entry) {
        let member = &entry.member;
        if member.standing.takes_sandboxes() {
            let taken = entry.taken.memory_bytes;
            self.zones.join(member.zone, member.worker, slot, member.total.memory_bytes);
            self.zones.take(member.zone, member.worker, taken, entry.left());
        }
        self.entries[slot as usize] = Some(entry);
    }

    /// Before anything of a worker changes.
    fn close(&mut self, entry: &Entry) {
        if entry.member.standing.takes_sandboxes() {
            self.zones.give(entry.member.zone, entry.taken.memory_bytes);
        }
    }

    /// And before its size or standing does.
    fn leave(&mut self, member: &Member) {
        if member.standing.takes_sandboxes() {
            self.zones.leave(member.zone, member.worker, member.total.memory_bytes);
        }
    }
}
