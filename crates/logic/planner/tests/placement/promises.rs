//! The choice fits, a refusal means that nothing does, and what was promised stays so.

use crate::fleets::{any_fleet, empty, room, sandbox, worker};
use hearth_planner::placement::{
    Fleet, FunctionKey, Layer, Member, Refusal, Request, Standing, Tier,
};
use hearth_types::Room;
use proptest::prelude::*;

fn fleet(members: &[Member]) -> Fleet {
    let mut fleet = Fleet::default();
    members.iter().for_each(|member| assert!(fleet.upsert(member.clone())));
    fleet
}

fn request(function: u64, room: Room, layers: &[Layer]) -> Request<'_> {
    Request { function: FunctionKey(function), room, cpu_milli: 100, layers, avoid: &[] }
}

fn fits(member: &Member, room: Room) -> bool {
    member.standing.takes_sandboxes()
        && member.sandboxes < member.sandboxes_max
        && member.total.holds(member.promised.plus(room))
}

proptest! {
    #[test]
    fn the_choice_fits_and_a_refusal_means_that_nothing_fits(
        members in any_fleet(),
        need in (0u64..100, 0u64..100),
        function in 0u64..4,
        seed in any::<u64>(),
    ) {
        let need = room(need.0, need.1);
        let layers = [Layer(1), Layer(2)];
        let fleet = fleet(&members);
        match fleet.choose(&request(function, need, &layers), seed) {
            Ok(decision) => {
                let chosen = members.iter().find(|m| m.worker == decision.worker).unwrap();
                prop_assert!(fits(chosen, need), "{}", decision);
                let healthy = |m: &Member| m.standing == Standing::Healthy;
                if !healthy(chosen) {
                    prop_assert!(!members.iter().any(|m| healthy(m) && fits(m, need)));
                }
                prop_assert!(!decision.to_string().contains('\n'));
            }
            Err(Refusal { short }) => {
                prop_assert!(!members.iter().any(|m| fits(m, need)));
                let takes = members.iter().any(|m| m.standing.takes_sandboxes());
                prop_assert_eq!(short.is_some(), takes);
            }
        }
    }

    #[test]
    fn the_order_of_upserts_does_not_matter_and_a_replay_gives_the_same(
        members in any_fleet(),
        order in any::<u64>(),
        need in (0u64..60, 0u64..60),
        seed in any::<u64>(),
    ) {
        let layers = [Layer(1), Layer(2)];
        let request = request(1, room(need.0, need.1), &layers);
        let straight = fleet(&members);
        let mut shuffled = members.clone();
        if !shuffled.is_empty() {
            let len = shuffled.len();
            shuffled.rotate_left(order as usize % len);
            shuffled[len / 2..].reverse();
        }
        let mut other = fleet(&shuffled);
        prop_assert_eq!(straight.choose(&request, seed), other.choose(&request, seed));
        // Leaving, coming back and being told twice change nothing either.
        for member in shuffled.iter().step_by(3) {
            other.remove(&member.worker);
        }
        shuffled.iter().for_each(|member| assert!(other.upsert(member.clone())));
        prop_assert_eq!(straight.choose(&request, seed), other.choose(&request, seed));
    }

    /// Workers admit what they were chosen for, at once or later, and tell of it whenever
    /// they like: none is ever promised more than it has.
    #[test]
    fn no_worker_is_overcommitted_whenever_heartbeats_come(
        steps in prop::collection::vec((0u8..5, 0u64..60, 1u64..30), 1..250),
    ) {
        // Few, so that each is chosen again while it still owes an answer.
        const WORKERS: u64 = 3;
        const TOTAL: u64 = 100;
        let mut truth: Vec<Member> = (0..WORKERS).map(|n| empty(n, (n % 3) as u16, TOTAL)).collect();
        let mut told = truth.clone();
        let mut fleet = fleet(&truth);
        let mut under_way = Vec::new();
        for (number, (what, which, size)) in (0u64..).zip(steps) {
            let at = (which % WORKERS) as usize;
            match what {
                0 | 1 => {
                    let need = room(size, size);
                    let Ok(decision) = fleet.choose(&request(which % 3, need, &[]), number) else {
                        continue;
                    };
                    let id = sandbox(number);
                    let function = FunctionKey(which % 3);
                    prop_assert!(fleet.promise(&decision.worker, id, function, need, 1));
                    prop_assert!(!fleet.promise(&decision.worker, id, function, need, 1));
                    under_way.push((id, decision.worker, function, need));
                }
                2 if !under_way.is_empty() => {
                    let (id, on, function, need) = under_way.swap_remove(which as usize % under_way.len());
                    let member = truth.iter_mut().find(|m| m.worker == on).unwrap();
                    // What the whole view promises: no worker ever has to refuse.
                    prop_assert!(member.total.holds(member.promised.plus(need)));
                    member.promised = member.promised.plus(need);
                    member.sandboxes += 1;
                    member.revision += 1;
                    match member.functions.iter_mut().find(|(f, _)| *f == function) {
                        Some((_, count)) => *count += 1,
                        None => member.functions.push((function, 1)),
                    }
                    fleet.admitted(&id, member.revision);
                }
                2 => {}
                3 => {
                    // A heartbeat of some while ago.
                    fleet.upsert(told[at].clone());
                    told[at] = truth[at].clone();
                }
                _ => {
                    if let Some((id, ..)) = under_way.pop() {
                        fleet.unpromise(&id);
                    }
                }
            }
        }
        // A record of it chooses alike, whatever is under way.
        let replayed = self::fleet(&fleet.record());
        for (seed, need) in (0..20).zip([5, 20, 40, 60].into_iter().cycle()) {
            let request = request(seed % 3, room(need, need), &[]);
            prop_assert_eq!(fleet.choose(&request, seed), replayed.choose(&request, seed));
        }
        for member in &truth {
            fleet.upsert(member.clone());
        }
        for (id, ..) in under_way {
            fleet.unpromise(&id);
        }
        for member in &truth {
            let left = member.total.less(member.promised);
            prop_assert_eq!(fleet.room_left(&member.worker), Some(left));
        }
    }
}

#[test]
fn a_worker_that_promised_too_much_takes_not_even_nothing() {
    let over = Member { promised: room(11, 0), ..empty(1, 0, 10) };
    let refused = fleet(&[over]).choose(&request(1, Room::default(), &[]), 0).unwrap_err();
    assert_eq!(refused.to_string(), "no worker has a place");
}

#[test]
fn an_old_heartbeat_changes_nothing() {
    let mut fleet = fleet(&[Member { revision: 5, promised: room(7, 7), ..empty(1, 0, 10) }]);
    assert!(!fleet.upsert(Member { revision: 4, ..empty(1, 0, 10) }));
    assert_eq!(fleet.room_left(&worker(1)), Some(room(3, 3)));
}

#[test]
fn a_cordon_holds_from_the_moment_it_is_set() {
    let mut fleet = fleet(&[empty(1, 0, 10)]);
    let request = request(1, room(1, 1), &[]);
    assert_eq!(fleet.choose(&request, 0).unwrap().reasons.tier, Tier::Good);
    for standing in [Standing::Cordoned, Standing::Draining, Standing::Sick] {
        fleet.set_standing(&worker(1), standing);
        assert_eq!(fleet.choose(&request, 0), Err(Refusal { short: None }));
        assert!(!fleet.promise(&worker(1), sandbox(1), request.function, request.room, 1));
    }
    fleet.set_standing(&worker(1), Standing::Suspect);
    assert_eq!(fleet.choose(&request, 0).unwrap().reasons.tier, Tier::Suspect);
}

#[test]
fn a_worker_that_has_the_snapshot_is_found_among_many() {
    let mut members: Vec<Member> = (0..3_000).map(|n| empty(n, (n % 3) as u16, 1_000)).collect();
    members[1_234].layers = vec![Layer(9)];
    let layers = [Layer(9)];
    let decision = fleet(&members).choose(&request(1, room(1, 1), &layers), 77).unwrap();
    assert_eq!((decision.worker, decision.reasons.cached), (worker(1_234), 1_000));
}
