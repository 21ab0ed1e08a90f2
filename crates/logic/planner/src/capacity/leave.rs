//! Which workers go, or stay after all, when a zone changes its size; and which are well
//! again and need no replacement.

use super::health::Health;
use super::replace::{Stage, WorkerState};
use super::size::ZoneChange;
use hearth_types::WorkerId;
use std::cmp::Reverse;

/// A worker that may be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// As it is.
    pub state: WorkerState,
    /// It drains in order to be taken away.
    pub leaves: bool,
}

/// Who does what of a [`ZoneChange`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Departures {
    /// They serve again.
    pub keep: Vec<WorkerId>,
    /// They begin to drain.
    pub drain: Vec<WorkerId>,
    /// They are stopped; nothing is on them.
    pub lose: Vec<WorkerId>,
}

/// Who does what, of a zone's workers that may be taken away; `fixed_healthy` others are
/// healthy and stay. The last healthy worker that serves is never among those that go.
pub fn departures(
    change: &ZoneChange,
    candidates: &[Candidate],
    fixed_healthy: usize,
) -> Departures {
    let mut leaving: Vec<&WorkerState> =
        candidates.iter().filter(|c| c.leaves).map(|c| &c.state).collect();
    // The least drained ones are worth most, if they are well.
    leaving.sort_by_key(|s| (s.health, Reverse(s.sandboxes), s.worker));
    let well = leaving.iter().filter(|s| s.health != Health::Sick);
    let keep: Vec<WorkerId> = well.take(change.keep as usize).map(|s| s.worker).collect();

    let serves = |c: &&Candidate| !c.leaves && c.state.stage == Stage::Serving;
    let mut serving: Vec<&WorkerState> =
        candidates.iter().filter(serves).map(|c| &c.state).collect();
    let is_healthy = |s: &WorkerState| s.health == Health::Healthy;
    let mut healthy = fixed_healthy + serving.iter().filter(|s| is_healthy(s)).count();
    serving.sort_by_key(|s| (s.sandboxes, Reverse(s.health), s.worker));
    // Whoever may go does not count any more.
    let mut may_go = |s: &WorkerState| {
        let goes = !is_healthy(s) || healthy > 1;
        healthy -= usize::from(goes && is_healthy(s));
        goes
    };

    let drained = leaving.iter().filter(|s| s.sandboxes == 0 && !keep.contains(&s.worker));
    let mut lose: Vec<WorkerId> = drained.take(change.lose as usize).map(|s| s.worker).collect();
    let mut drain = Vec::new();
    for state in serving {
        if state.sandboxes == 0 && lose.len() < change.lose as usize {
            if may_go(state) {
                lose.push(state.worker);
            }
        } else if drain.len() < change.drain as usize && may_go(state) {
            drain.push(state.worker);
        }
    }
    Departures { keep, drain, lose }
}

/// Those on their way out that have become healthy meanwhile and are not out of date: they
/// serve again, which is quicker than new ones.
pub fn recovered(workers: &[WorkerState]) -> Vec<WorkerId> {
    let is_well =
        |s: &&WorkerState| s.stage != Stage::Serving && s.health == Health::Healthy && !s.outdated;
    workers.iter().filter(is_well).map(|s| s.worker).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::Zone;
    use proptest::prelude::*;

    fn worker(number: usize) -> WorkerId {
        format!("{number:032x}").parse().unwrap()
    }

    fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let health = prop::sample::select(vec![Health::Healthy, Health::Suspect, Health::Sick]);
        let one = (health, 0u32..3, any::<bool>());
        prop::collection::vec(one, 0..12).prop_map(|all| {
            let one = |(number, (health, sandboxes, leaves))| {
                let stage = if leaves { Stage::Draining(0) } else { Stage::Serving };
                let (worker, zone, outdated) = (worker(number), Zone(0), false);
                let state = WorkerState { worker, zone, health, stage, outdated, sandboxes };
                Candidate { state, leaves }
            };
            all.into_iter().enumerate().map(one).collect()
        })
    }

    proptest! {
        #[test]
        fn nobody_goes_with_sandboxes_and_the_last_healthy_one_stays(
            candidates in candidates(),
            keep in 0u32..4,
            drain in 0u32..8,
            lose in 0u32..8,
            fixed in 0usize..2,
        ) {
            let change = ZoneChange { zone: Zone(0), keep, gain: 0, drain, lose };
            let who = departures(&change, &candidates, fixed);
            let of = |w: &WorkerId| candidates.iter().find(|c| c.state.worker == *w).unwrap();
            prop_assert!(who.lose.iter().all(|w| of(w).state.sandboxes == 0));
            prop_assert!(who.keep.iter().all(|w| of(w).leaves && !who.lose.contains(w)));
            prop_assert!(who.drain.iter().all(|w| !of(w).leaves && !who.lose.contains(w)));
            let counts = [who.keep.len(), who.drain.len(), who.lose.len()];
            let bounds = [keep, drain, lose].map(|n| n as usize);
            prop_assert!(counts.iter().zip(bounds).all(|(count, bound)| *count <= bound));
            let healthy = |c: &&Candidate| !c.leaves && c.state.health == Health::Healthy;
            let stays = |c: &&Candidate| {
                !who.drain.contains(&c.state.worker) && !who.lose.contains(&c.state.worker)
            };
            let before = fixed + candidates.iter().filter(healthy).count();
            let after = fixed + candidates.iter().filter(healthy).filter(stays).count();
            prop_assert!(before == 0 || after >= 1);
        }

        #[test]
        fn only_the_well_come_back(candidates in candidates()) {
            let states: Vec<WorkerState> = candidates.iter().map(|c| c.state).collect();
            let back = recovered(&states);
            for state in states {
                let due = state.stage != Stage::Serving && state.health == Health::Healthy;
                prop_assert_eq!(back.contains(&state.worker), due);
            }
        }
    }
}
