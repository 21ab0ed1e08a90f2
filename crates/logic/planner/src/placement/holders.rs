//! Which workers have what in their caches.

use super::member::Layer;
use hearth_types::WorkerId;
use std::collections::HashMap;

/// Workers by what they have, each list in the order of their ids: slots depend on who
/// came first, and a choice must not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holders(HashMap<Layer, List>);

#[derive(Clone, Debug, Default)]
struct List {
    ids: Vec<WorkerId>,
    slots: Vec<u32>,
}

impl Holders {
    /// The workers' slots.
    pub(crate) fn of(&self, layer: Layer) -> &[u32] {
        self.0.get(&layer).map_or(&[], |list| &list.slots)
    }

    pub(crate) fn add(&mut self, layer: Layer, worker: WorkerId, slot: u32) {
        let list = self.0.entry(layer).or_default();
        if let Err(at) = list.ids.binary_search(&worker) {
            list.ids.insert(at, worker);
            list.slots.insert(at, slot);
        }
    }

    pub(crate) fn take(&mut self, layer: Layer, worker: WorkerId) {
        let Some(list) = self.0.get_mut(&layer) else { return };
        if let Ok(at) = list.ids.binary_search(&worker) {
            list.ids.remove(at);
            list.slots.remove(at);
        }
        if list.ids.is_empty() {
            self.0.remove(&layer);
        }
    }
}
