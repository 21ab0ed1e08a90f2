//! Which worker gets a new sandbox.

use hearth_types::WorkerId;

/// What a new sandbox needs of its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The function's memory, in bytes. What a guest needs around it only the
    /// worker knows, which has the last word.
    pub memory_bytes: u64,
}

/// A worker as the planner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which worker.
    pub worker: WorkerId,
    /// Memory for sandboxes, in bytes.
    pub memory_total_bytes: u64,
    /// Of it, promised already.
    pub memory_promised_bytes: u64,
    /// Sandboxes it holds.
    pub sandboxes: u32,
    /// Most it will hold.
    pub sandboxes_max: u32,
}

impl Candidate {
    fn free_bytes(&self) -> u64 {
        self.memory_total_bytes.saturating_sub(self.memory_promised_bytes)
    }

    /// What it lacks for the demand.
    fn shortage_bytes(&self, demand: Demand) -> u64 {
        demand.memory_bytes.saturating_sub(self.free_bytes())
    }

    fn fits(&self, demand: Demand) -> bool {
        let promised = self.memory_promised_bytes.saturating_add(demand.memory_bytes);
        self.sandboxes < self.sandboxes_max && promised <= self.memory_total_bytes
    }
}

/// The least memory that any worker lacks for the demand, in bytes; 0 if it is
/// not memory that is short. `None` for a fleet of none.
pub fn least_shortage_bytes(demand: Demand, fleet: &[Candidate]) -> Option<u64> {
    fleet.iter().map(|c| c.shortage_bytes(demand)).min()
}

/// The worker with the most free memory that the demand fits on, or `None` if
/// it fits nowhere. Ties go to the fewer sandboxes, then to the lower id, so
/// that a recorded decision can be replayed.
pub fn choose_worker(demand: Demand, fleet: &[Candidate]) -> Option<WorkerId> {
    fleet
        .iter()
        .filter(|c| c.fits(demand))
        .max_by_key(|c| {
            (c.free_bytes(), std::cmp::Reverse(c.sandboxes), std::cmp::Reverse(c.worker))
        })
        .map(|c| c.worker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
        prop::collection::vec((0u64..100, 0u64..120, 0u32..5, 0u32..5), 0..12).prop_map(|v| {
            v.into_iter()
                .map(|(total, promised, sandboxes, max)| Candidate {
                    worker: WorkerId::new(),
                    memory_total_bytes: total,
                    memory_promised_bytes: promised,
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
            memory_total_bytes: 10,
            memory_promised_bytes: 11,
            sandboxes: 0,
            sandboxes_max: 1,
        };
        assert_eq!(choose_worker(Demand { memory_bytes: 0 }, &[over]), None);
    }

    proptest! {
        #[test]
        fn the_choice_fits_and_a_refusal_means_that_nothing_fits(
            fleet in candidates(), memory_bytes in 0u64..100,
        ) {
            let demand = Demand { memory_bytes };
            match choose_worker(demand, &fleet) {
                Some(id) => {
                    let chosen = fleet.iter().find(|c| c.worker == id).unwrap();
                    prop_assert!(chosen.memory_promised_bytes + memory_bytes <= chosen.memory_total_bytes);
                    prop_assert!(chosen.sandboxes < chosen.sandboxes_max);
                }
                None => prop_assert!(fleet.iter().all(|c| !c.fits(demand))),
            }
        }

        #[test]
        fn the_order_of_the_fleet_does_not_matter(mut fleet in candidates(), memory_bytes in 0u64..100) {
            let demand = Demand { memory_bytes };
            let before = choose_worker(demand, &fleet);
            fleet.reverse();
            prop_assert_eq!(before, choose_worker(demand, &fleet));
        }
    }
}
