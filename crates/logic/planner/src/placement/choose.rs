//! The choice itself.

use super::fleet::Fleet;
use super::member::{FunctionKey, Layer, Standing};
use super::sample::{mix, some_of};
use super::score::{Reasons, Scale, Tier};
use super::spread::SHARE_ONE_IN;
use hearth_types::{Room, WorkerId};
use std::cmp::Reverse;
use std::fmt;

/// Layers of a request that are looked at: its function's snapshot, its runtime's, the
/// image; no start needs more.
pub(crate) const LAYERS_MAX: usize = 4;
/// Of so many workers, all are looked at: no slower than a sample.
const LOOK_AT_ALL_MAX: usize = 48;
/// Of a fleet that all was looked at of, so many at most are compared, of each zone as
/// many: comparing costs many times what looking does.
const COMPARE_MAX: usize = 48;
/// Workers compared of a larger fleet, shared among its zones. Twice as many take twice
/// as long, and are hardly better balanced.
const SAMPLE: usize = 24;
/// And of those that have a layer, of each layer.
const HOLDERS_SAMPLE: usize = 4;

/// What a sandbox needs.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Whose it is.
    pub function: FunctionKey,
    /// What it is promised, with what each sandbox takes beyond its function's own.
    pub room: Room,
    /// Thousandths of processors that it may use.
    pub cpu_milli: u64,
    /// What its start is quicker with, the best first.
    pub layers: &'a [Layer],
    /// Workers that are taken only if no other can: a few, as each is held against all.
    pub avoid: &'a [WorkerId],
}

/// A worker, and why this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which.
    pub worker: WorkerId,
    /// Why.
    pub reasons: Reasons,
}

/// No worker has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The least that any worker lacks, memory before disk; nothing if it is a place for
    /// one more sandbox. `None` if no worker takes sandboxes.
    pub short: Option<Room>,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.worker, self.reasons)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.short {
            Some(Room { memory_bytes: 0, disk_bytes: 0 }) => f.write_str("no worker has a place"),
            Some(short) => write!(
                f,
                "the best worker lacks {} bytes of memory and {} of disk",
                short.memory_bytes, short.disk_bytes
            ),
            None => f.write_str("no worker takes sandboxes"),
        }
    }
}

impl Fleet {
    /// The worker for a sandbox. The same for the same fleet, request and seed. Nothing
    /// is noted: see [`promise`](Self::promise).
    pub fn choose(&self, request: &Request<'_>, seed: u64) -> Result<Decision, Refusal> {
        let scale = Scale::new(self, request);
        let mut best = Best::default();
        if self.len() > LOOK_AT_ALL_MAX {
            self.sample(request, seed, |slot| best.compare(self, &scale, request, slot));
            if let Some((decision, Tier::Good)) = best.take() {
                return Ok(decision);
            }
            best = Best::default();
        }
        // Whoever has most of a function is few.
        let crowded = scale.crowded();
        for healthy in [true, false] {
            self.some_holding(request, seed, healthy, |slot| {
                if !crowded.contains(&slot) {
                    best.compare(self, &scale, request, slot);
                }
            });
            let others = crowded.iter().filter(|slot| self.is_healthy(**slot) == healthy);
            others.for_each(|slot| best.compare(self, &scale, request, *slot));
            if let Some((decision, tier)) = best.take()
                && tier > Tier::Avoided
            {
                return Ok(decision);
            }
        }
        let avoided = best.take().map(|(decision, _)| decision);
        avoided.ok_or_else(|| Refusal { short: self.least_shortage(request.room) })
    }

    /// Some of each zone that have room, if there are any.
    fn some_holding(
        &self,
        request: &Request<'_>,
        seed: u64,
        healthy: bool,
        mut each: impl FnMut(u32),
    ) {
        let most = COMPARE_MAX.div_ceil(self.zones.all().len().max(1));
        for (zone, view) in self.zones.all() {
            let from = mix(seed, zone.0.into());
            let holding = view.left().holding(request.room, healthy, from);
            // The crowded ones among them are no more than that.
            holding.take(most + SHARE_ONE_IN as usize).for_each(|at| each(view.slots()[at]));
        }
    }

    fn is_healthy(&self, slot: u32) -> bool {
        let entry = self.entries[slot as usize].as_ref();
        entry.is_some_and(|entry| entry.member.standing == Standing::Healthy)
    }

    /// Some of each zone, and some of those that have the layers.
    fn sample(&self, request: &Request<'_>, seed: u64, mut each: impl FnMut(u32)) {
        let zones = self.zones.all();
        let of_each = SAMPLE.div_ceil(zones.len().max(1));
        for (zone, view) in zones {
            let seed = mix(seed, zone.0.into());
            some_of(view.slots(), of_each, seed).for_each(&mut each);
        }
        for layer in request.layers.iter().take(LAYERS_MAX) {
            let seed = mix(seed, layer.0);
            some_of(self.holders.of(*layer), HOLDERS_SAMPLE, seed).for_each(&mut each);
        }
    }

    fn least_shortage(&self, room: Room) -> Option<Room> {
        let shortages = self.zones.all().filter_map(|(_, view)| view.left().least_shortage(room));
        shortages.min_by_key(|short| (short.memory_bytes, short.disk_bytes))
    }
}

/// The best so far.
#[derive(Default)]
struct Best {
    found: Option<Decision>,
    compared: u32,
}

impl Best {
    fn compare(&mut self, fleet: &Fleet, scale: &Scale<'_>, request: &Request<'_>, slot: u32) {
        let Some(entry) = &fleet.entries[slot as usize] else { return };
        if !entry.holds(request.room) {
            return;
        }
        self.compared += 1;
        let decision =
            Decision { worker: entry.member.worker, reasons: scale.reasons(fleet, slot, entry) };
        // Ties go to the lower id, as slots depend on who came first.
        let rank = |d: &Decision| (d.reasons.rank(), Reverse(d.worker));
        if self.found.as_ref().is_none_or(|found| rank(&decision) > rank(found)) {
            self.found = Some(decision);
        }
    }

    fn take(&self) -> Option<(Decision, Tier)> {
        let mut decision = self.found?;
        decision.reasons.compared = self.compared;
        Some((decision, decision.reasons.tier))
    }
}
