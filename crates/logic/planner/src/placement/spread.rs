//! Where each function's sandboxes are, so that no worker's end takes most of them.

use super::member::{FunctionKey, Zone};
use std::collections::HashMap;

/// A worker should have at most one in so many of a function's sandboxes, if others can
/// take them: losing it then costs a quarter of the function's idle ones, and a function
/// that is busy everywhere at once makes no worker the busy one.
pub const SHARE_ONE_IN: u32 = 4;

/// The most of a function's sandboxes that one worker should have, of so many.
pub fn most_on_one_worker(sandboxes: u32) -> u32 {
    sandboxes.div_ceil(SHARE_ONE_IN).max(1)
}

/// One function's sandboxes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    total: u32,
    /// Sorted by slot.
    by_worker: Vec<(u32, u32)>,
    /// Sorted by zone.
    by_zone: Vec<(Zone, u32)>,
}

impl Places {
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    pub(crate) fn on(&self, slot: u32) -> u32 {
        count(&self.by_worker, slot)
    }

    /// The slots that have at least so many.
    pub(crate) fn on_at_least(&self, least: u32) -> Vec<u32> {
        self.by_worker.iter().filter(|(_, n)| *n >= least).map(|(slot, _)| *slot).collect()
    }

    pub(crate) fn zone(&self, zone: Zone) -> u32 {
        count(&self.by_zone, zone)
    }
}

/// Every function's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spread(HashMap<FunctionKey, Places>);

impl Spread {
    pub(crate) fn of(&self, function: FunctionKey) -> Option<&Places> {
        self.0.get(&function)
    }

    pub(crate) fn add(&mut self, function: FunctionKey, slot: u32, zone: Zone, more: u32) {
        if more == 0 {
            return;
        }
        let places = self.0.entry(function).or_default();
        places.total = places.total.saturating_add(more);
        change(&mut places.by_worker, slot, |n| n.saturating_add(more));
        change(&mut places.by_zone, zone, |n| n.saturating_add(more));
    }

    pub(crate) fn take(&mut self, function: FunctionKey, slot: u32, zone: Zone, fewer: u32) {
        let Some(places) = self.0.get_mut(&function) else { return };
        places.total = places.total.saturating_sub(fewer);
        change(&mut places.by_worker, slot, |n| n.saturating_sub(fewer));
        change(&mut places.by_zone, zone, |n| n.saturating_sub(fewer));
        if places.total == 0 {
            self.0.remove(&function);
        }
    }
}

fn count<K: Ord + Copy>(counts: &[(K, u32)], key: K) -> u32 {
    let found = counts.binary_search_by_key(&key, |(k, _)| *k);
    found.ok().and_then(|at| counts.get(at)).map_or(0, |(_, n)| *n)
}

fn change<K: Ord + Copy>(counts: &mut Vec<(K, u32)>, key: K, to: impl Fn(u32) -> u32) {
    match counts.binary_search_by_key(&key, |(k, _)| *k) {
        Ok(at) => match to(counts[at].1) {
            0 => drop(counts.remove(at)),
            n => counts[at].1 = n,
        },
        Err(at) => {
            let n = to(0);
            if n > 0 {
                counts.insert(at, (key, n));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_can_be_taken_again() {
        let (mut spread, function) = (Spread::default(), FunctionKey(1));
        spread.add(function, 7, Zone(1), 2);
        spread.add(function, 3, Zone(1), 1);
        spread.add(function, 3, Zone(1), 0);
        let places = spread.of(function).unwrap();
        assert_eq!((places.total(), places.on(7), places.on(3), places.on(4)), (3, 2, 1, 0));
        assert_eq!((places.zone(Zone(1)), places.zone(Zone(0))), (3, 0));
        spread.take(function, 7, Zone(1), 2);
        spread.take(function, 3, Zone(1), 1);
        assert!(spread.of(function).is_none());
    }

    #[test]
    fn the_first_may_be_anywhere_and_the_fifth_beside_another() {
        assert_eq!([0, 1, 4, 5, 8, 9].map(most_on_one_worker), [1, 1, 1, 2, 2, 3]);
    }
}
