//! Workers that a request avoids: taken if no other can, and after any that is suspect.

use crate::fleets::{empty, room};
use hearth_planner::placement::{Fleet, FunctionKey, Request, Standing, Tier};
use hearth_types::WorkerId;

const MEMORY: u64 = 1_000;

/// Chooses for a sandbox of all of a worker's memory.
fn choose(fleet: &Fleet, avoid: &[WorkerId]) -> Option<(WorkerId, Tier)> {
    let (function, room) = (FunctionKey(1), room(MEMORY, 1));
    let request = Request { function, room, cpu_milli: 10, layers: &[], avoid };
    let decision = fleet.choose(&request, 7).ok()?;
    Some((decision.worker, decision.reasons.tier))
}

#[test]
fn an_avoided_worker_is_the_last_that_is_taken() {
    // Few, of which all are looked at, and more than are.
    for workers in [3, 200] {
        let members: Vec<_> = (0..workers).map(|n| empty(n, (n % 3) as u16, MEMORY)).collect();
        let mut fleet = Fleet::default();
        members.iter().for_each(|member| assert!(fleet.upsert(member.clone())));
        let (avoided, _) = choose(&fleet, &[]).unwrap();
        let (other, tier) = choose(&fleet, &[avoided]).unwrap();
        assert!(other != avoided && tier == Tier::Good, "{tier:?}");

        // Those that are suspect come before it.
        for member in members.iter().filter(|member| member.worker != avoided) {
            fleet.set_standing(&member.worker, Standing::Suspect);
        }
        let (other, tier) = choose(&fleet, &[avoided]).unwrap();
        assert!(other != avoided && tier == Tier::Suspect, "{tier:?}");

        for member in members.iter().filter(|member| member.worker != avoided) {
            fleet.remove(&member.worker);
        }
        assert_eq!(choose(&fleet, &[avoided]), Some((avoided, Tier::Avoided)));
    }
}
