//! Which workers are replaced: the sick, and those that are out of date.
//!
//! ```text
//!  serving ──Cordon──► cordoned ──Drain──► draining ──Replace──► (a new worker)
//!                       next look           empty, or too long
//! ```

use super::health::Health;
use crate::placement::Zone;
use hearth_types::WorkerId;
use std::collections::BTreeMap;

/// Of so many workers one may be on its way out at once.
const ONE_IN: usize = 25;
/// Looks for which a draining worker may take to get empty: with one every ten seconds
/// half an hour, twice what the longest event takes.
pub const DRAIN_LOOKS_MAX: u32 = 180;

/// How far a worker is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not at all.
    Serving,
    /// It gets no sandboxes.
    Cordoned,
    /// Its idle ones go; for so many looks.
    Draining(u32),
}

/// A worker as the capacity manager sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerState {
    /// Which worker.
    pub worker: WorkerId,
    /// Where it is.
    pub zone: Zone,
    /// How well it is.
    pub health: Health,
    /// How far it is on its way out.
    pub stage: Stage,
    /// It is to be replaced though it is well: for an upgrade.
    pub outdated: bool,
    /// Living sandboxes.
    pub sandboxes: u32,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It gets no sandboxes any more.
    Cordon(WorkerId),
    /// Its idle sandboxes are killed; busy ones end.
    Drain(WorkerId),
    /// It is stopped, and another is started in its zone.
    Replace(WorkerId),
}

/// How many of so many workers may be on their way out at once, new ones that have not
/// come up yet counted.
pub fn under_way_max(workers: usize) -> usize {
    workers.div_ceil(ONE_IN)
}

/// What is to be done next, when so many workers are starting. The sick come first, then
/// those with the fewest sandboxes. A healthy worker that serves is not cordoned if no
/// other is left in its zone.
pub fn replacements(workers: &[WorkerState], starting: usize) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut serving: BTreeMap<Zone, u32> = BTreeMap::new();
    let mut under_way = starting;
    for state in workers {
        match state.stage {
            Stage::Serving if state.health == Health::Healthy => {
                *serving.entry(state.zone).or_default() += 1;
            }
            Stage::Serving => {}
            Stage::Cordoned => {
                under_way += 1;
                actions.push(Action::Drain(state.worker));
            }
            Stage::Draining(looks) => {
                under_way += 1;
                // Nothing that is said to be on a sick one is there for long.
                let sick = state.health == Health::Sick;
                if sick || state.sandboxes == 0 || looks >= DRAIN_LOOKS_MAX {
                    actions.push(Action::Replace(state.worker));
                }
            }
        }
    }
    let due = |state: &&WorkerState| {
        state.stage == Stage::Serving && (state.health == Health::Sick || state.outdated)
    };
    let mut due: Vec<&WorkerState> = workers.iter().filter(due).collect();
    due.sort_by_key(|s| (s.health != Health::Sick, s.sandboxes, s.worker));
    for state in due {
        if under_way >= under_way_max(workers.len()) {
            break;
        }
        if state.health == Health::Healthy {
            let Some(left) = serving.get_mut(&state.zone).filter(|left| **left > 1) else {
                continue;
            };
            *left -= 1;
        }
        under_way += 1;
        actions.push(Action::Cordon(state.worker));
    }
    actions
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn worker(number: usize) -> WorkerId {
        format!("{number:032x}").parse().unwrap()
    }

    fn fleets() -> impl Strategy<Value = Vec<WorkerState>> {
        let health = prop::sample::select(vec![Health::Healthy, Health::Suspect, Health::Sick]);
        let stage = prop_oneof![
            8 => Just(Stage::Serving),
            1 => Just(Stage::Cordoned),
            1 => (0u32..DRAIN_LOOKS_MAX + 9).prop_map(Stage::Draining),
        ];
        let state = (0u16..4, health, stage, any::<bool>(), 0u32..3);
        // Few, so that some are the last of a zone; and many, so that the rate counts.
        let len = prop_oneof![0..6usize, 40..80usize];
        let states = len.prop_flat_map(move |len| prop::collection::vec(state.clone(), len));
        states.prop_map(|states| {
            let state = |(number, (zone, health, stage, outdated, sandboxes))| WorkerState {
                worker: worker(number),
                zone: Zone(zone),
                health,
                stage,
                outdated,
                sandboxes,
            };
            states.into_iter().enumerate().map(state).collect()
        })
    }

    proptest! {
        #[test]
        fn the_last_healthy_worker_of_a_zone_stays_and_the_rate_is_bounded(
            fleet in fleets(),
            starting in 0usize..4,
        ) {
            let actions = replacements(&fleet, starting);
            let cordoned: Vec<WorkerId> = actions.iter().filter_map(|action| match action {
                Action::Cordon(worker) => Some(*worker),
                _ => None,
            }).collect();
            let serves = |s: &&WorkerState| s.health == Health::Healthy && s.stage == Stage::Serving;
            for zone in (0..4).map(Zone) {
                let healthy: Vec<_> = fleet.iter().filter(serves).filter(|s| s.zone == zone).collect();
                let left = healthy.iter().filter(|s| !cordoned.contains(&s.worker)).count();
                prop_assert!(healthy.is_empty() || left >= 1);
            }
            let before = fleet.iter().filter(|s| s.stage != Stage::Serving).count() + starting;
            prop_assert!(cordoned.is_empty() || before + cordoned.len() <= under_way_max(fleet.len()));
        }

        #[test]
        fn none_is_replaced_that_was_not_drained_and_none_cordoned_without_reason(
            fleet in fleets(),
        ) {
            for action in replacements(&fleet, 0) {
                let state = |worker| fleet.iter().find(|s| s.worker == worker).unwrap();
                match action {
                    Action::Cordon(worker) => {
                        let state = state(worker);
                        prop_assert!(state.health == Health::Sick || state.outdated);
                        prop_assert_eq!(state.stage, Stage::Serving);
                    }
                    Action::Drain(worker) => prop_assert_eq!(state(worker).stage, Stage::Cordoned),
                    Action::Replace(worker) => {
                        let state = state(worker);
                        let Stage::Draining(looks) = state.stage else { panic!("{state:?}") };
                        prop_assert!(
                            state.sandboxes == 0
                                || looks >= DRAIN_LOOKS_MAX
                                || state.health == Health::Sick
                        );
                    }
                }
            }
        }

        /// Whatever has to go is gone in the end, unless it is a zone's last.
        #[test]
        fn all_that_are_outdated_are_replaced_in_the_end(fleet in fleets()) {
            let mut fleet = fleet;
            for _ in 0..1_000 {
                let actions = replacements(&fleet, 0);
                for state in &mut fleet {
                    if let Stage::Draining(looks) = &mut state.stage {
                        *looks += 1;
                        state.sandboxes = state.sandboxes.saturating_sub(1);
                    }
                }
                for action in actions {
                    let find = |w: WorkerId| move |s: &&mut WorkerState| s.worker == w;
                    match action {
                        Action::Cordon(w) => fleet.iter_mut().find(find(w)).unwrap().stage = Stage::Cordoned,
                        Action::Drain(w) => fleet.iter_mut().find(find(w)).unwrap().stage = Stage::Draining(0),
                        Action::Replace(w) => {
                            let state = fleet.iter_mut().find(find(w)).unwrap();
                            (state.stage, state.health) = (Stage::Serving, Health::Healthy);
                            (state.outdated, state.sandboxes) = (false, 1);
                        }
                    }
                }
            }
            for state in &fleet {
                prop_assert_eq!(state.stage, Stage::Serving);
                prop_assert!(state.health != Health::Sick);
                if state.outdated {
                    let healthy = |s: &&WorkerState| s.zone == state.zone && s.health == Health::Healthy;
                    prop_assert_eq!(fleet.iter().filter(healthy).count(), 1);
                }
            }
        }
    }
}
