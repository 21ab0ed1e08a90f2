//! Which worker gets a new sandbox.

use hearth_types::{Room, WorkerId};

/// A worker as the planner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which worker.
    pub worker: WorkerId,
    /// What sandboxes may take of it.
    pub total: Room,
    /// Of that, promised already.
    pub promised: Room,
    /// Sandboxes it holds.
    pub sandboxes: u32,
    /// Most it will hold.
    pub sandboxes_max: u32,
}

impl Candidate {
    fn free(&self) -> Room {
        self.total.less(self.promised)
    }

    fn fits(&self, demand: Room) -> bool {
        self.sandboxes < self.sandboxes_max && self.total.holds(self.promised.plus(demand))
    }
}

/// The least that any worker lacks for the demand, memory before disk; nothing
/// if it is room for one more sandbox that is short. `None` for a fleet of none.
pub fn least_shortage(demand: Room, fleet: &[Candidate]) -> Option<Room> {
    let shortages = fleet.iter().map(|c| demand.less(c.free()));
    shortages.min_by_key(|short| (short.memory_bytes, short.disk_bytes))
}

/// The worker with the most free memory that the demand fits on, or `None` if
/// it fits nowhere. Ties go to the fewer sandboxes, then to the lower id, so
/// that a recorded decision can be replayed.
pub fn choose_worker(demand: Room, fleet: &[Candidate]) -> Option<WorkerId> {
    fleet
        .iter()
        .filter(|c| c.fits(demand))
        .max_by_key(|c| {
            let free = c.free().memory_bytes;
            (free, std::cmp::Reverse(c.sandboxes), std::cmp::Reverse(c.worker))
        })
        .map(|c| c.worker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn room(max: u64) -> impl Strategy<Value = Room> {
        (0..max, 0..max).prop_map(|(memory_bytes, disk_bytes)| Room { memory_bytes, disk_bytes })
    }

    fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let worker = (room(100), room(120), 0u32..5, 0u32..5);
        prop::collection::vec(worker, 0..12).prop_map(|v| {
            v.into_iter()
                .map(|(total, promised, sandboxes, max)| Candidate {
                    worker: WorkerId::new(),
                    total,
                    promised,
                    sandboxes,
                    sandboxes_max: max,
                })
                .collect()
        })
    }

    #[test]
    fn a_worker_that_promised_too_much_takes_not_even_nothing() {
        let over = Candidate {
            worker: WorkerId::new(),
            total: Room { memory_bytes: 10, disk_bytes: 10 },
            promised: Room { memory_bytes: 11, disk_bytes: 0 },
            sandboxes: 0,
            sandboxes_max: 1,
        };
        assert_eq!(choose_worker(Room::default(), &[over]), None);
    }

    proptest! {
        #[test]
        fn the_choice_fits_and_a_refusal_means_that_nothing_fits(
            fleet in candidates(), demand in room(100),
        ) {
            match choose_worker(demand, &fleet) {
                Some(id) => {
                    let chosen = fleet.iter().find(|c| c.worker == id).unwrap();
                    prop_assert!(chosen.total.holds(chosen.promised.plus(demand)));
                    prop_assert!(chosen.sandboxes < chosen.sandboxes_max);
                }
                None => prop_assert!(fleet.iter().all(|c| !c.fits(demand))),
            }
        }

        #[test]
        fn the_order_of_the_fleet_does_not_matter(mut fleet in candidates(), demand in room(100)) {
            let before = choose_worker(demand, &fleet);
            fleet.reverse();
            prop_assert_eq!(before, choose_worker(demand, &fleet));
        }
    }
}
