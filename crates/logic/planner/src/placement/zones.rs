//! The zones: who may be chosen in each, and how full it is.

use super::left::{Left, LeftOfOne};
use super::member::Zone;
use hearth_types::WorkerId;
use std::collections::BTreeMap;

/// One zone's workers that take sandboxes.
#[derive(Clone, Debug, Default)]
pub(crate) struct ZoneView {
    /// In the order of ids, as slots depend on who came first.
    ids: Vec<WorkerId>,
    slots: Vec<u32>,
    left: Left,
    memory_total: u128,
    memory_taken: u128,
    fill_per_mille: u64,
}

impl ZoneView {
    pub(crate) fn slots(&self) -> &[u32] {
        &self.slots
    }

    pub(crate) fn left(&self) -> &Left {
        &self.left
    }

    /// How much of its memory is taken, in thousandths; more if too much was promised.
    /// Reckoned here, as a decision asks for it once for each worker.
    fn fill(&mut self) {
        let fill = self.memory_taken * 1_000 / self.memory_total.max(1);
        self.fill_per_mille = u64::try_from(fill).unwrap_or(u64::MAX);
    }
}

/// All of them, without those that have no worker to choose.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zones(BTreeMap<Zone, ZoneView>);

impl Zones {
    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = (Zone, &ZoneView)> {
        self.0.iter().map(|(zone, view)| (*zone, view))
    }

    pub(crate) fn fill_per_mille(&self, zone: Zone) -> u64 {
        self.0.get(&zone).map_or(0, |view| view.fill_per_mille)
    }

    pub(crate) fn least_fill_per_mille(&self) -> u64 {
        self.0.values().map(|view| view.fill_per_mille).min().unwrap_or(0)
    }

    pub(crate) fn join(&mut self, zone: Zone, worker: WorkerId, slot: u32, memory: u64) {
        let view = self.0.entry(zone).or_default();
        if let Err(at) = view.ids.binary_search(&worker) {
            view.ids.insert(at, worker);
            view.slots.insert(at, slot);
            view.left.insert(at);
            view.memory_total += u128::from(memory);
            view.fill();
        }
    }

    pub(crate) fn leave(&mut self, zone: Zone, worker: WorkerId, memory: u64) {
        let Some(view) = self.0.get_mut(&zone) else { return };
        if let Ok(at) = view.ids.binary_search(&worker) {
            view.ids.remove(at);
            view.slots.remove(at);
            view.left.remove(at);
            view.memory_total = view.memory_total.saturating_sub(memory.into());
            view.fill();
        }
        if view.ids.is_empty() {
            self.0.remove(&zone);
        }
    }

    /// A worker has so much taken, and that left.
    pub(crate) fn take(&mut self, zone: Zone, worker: WorkerId, memory: u64, left: LeftOfOne) {
        let Some(view) = self.0.get_mut(&zone) else { return };
        view.memory_taken += u128::from(memory);
        view.fill();
        if let Ok(at) = view.ids.binary_search(&worker) {
            view.left.set(at, left);
        }
    }

    /// What it had taken counts no more.
    pub(crate) fn give(&mut self, zone: Zone, memory: u64) {
        if let Some(view) = self.0.get_mut(&zone) {
            view.memory_taken = view.memory_taken.saturating_sub(memory.into());
            view.fill();
        }
    }
}
