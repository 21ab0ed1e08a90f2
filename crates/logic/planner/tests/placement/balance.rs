//! Zones fill alike, and a function's sandboxes spread over workers.

use crate::fleets::{empty, room, sandbox, worker};
use hearth_planner::placement::{
    Fleet, FunctionKey, Layer, Member, Request, Tier, ZONE_GAP_MAX_PER_MILLE, most_on_one_worker,
};
use hearth_types::WorkerId;
use proptest::prelude::*;
use std::collections::BTreeMap;

const MEMORY: u64 = 1_000_000;

/// Places sandboxes of these functions and sizes, and says where each went.
fn place_all(members: &[Member], wanted: &[(u64, u64)], seed: u64) -> Vec<WorkerId> {
    let mut fleet = Fleet::default();
    members.iter().for_each(|member| assert!(fleet.upsert(member.clone())));
    let place = |(number, (function, size)): (u64, &(u64, u64))| {
        let (function, room) = (FunctionKey(*function), room(*size, 1));
        let request = Request { function, room, cpu_milli: 10, layers: &[], avoid: &[] };
        let decision = fleet.choose(&request, seed ^ number).unwrap();
        assert!(fleet.promise(&decision.worker, sandbox(number), function, room, 10));
        decision.worker
    };
    (0..).zip(wanted).map(place).collect()
}

fn fleet_of(zones: &[u64]) -> Vec<Member> {
    let each = zones.iter().zip(0u16..);
    let members = each.flat_map(|(workers, zone)| {
        (0..*workers).map(move |n| empty(u64::from(zone) * 1_000 + n, zone, MEMORY))
    });
    members.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn zones_of_any_size_fill_alike(
        zones in prop::collection::vec(4u64..60, 1..5),
        wanted in prop::collection::vec((0u64..500, 1_000u64..20_000), 1..300),
        seed in any::<u64>(),
    ) {
        let members = fleet_of(&zones);
        let zone_of = |worker: &WorkerId| members.iter().find(|m| m.worker == *worker).unwrap().zone;
        let mut taken = vec![0u64; zones.len()];
        for (worker, (_, size)) in place_all(&members, &wanted, seed).iter().zip(&wanted) {
            taken[zone_of(worker).0 as usize] += size;
        }
        let fill = |(taken, workers): (&u64, &u64)| taken * 1_000 / (workers * MEMORY);
        let fills: Vec<u64> = taken.iter().zip(&zones).map(fill).collect();
        let gap = fills.iter().max().unwrap() - fills.iter().min().unwrap();
        // And the last sandbox, at most 20 of 4,000 thousandths.
        prop_assert!(gap <= ZONE_GAP_MAX_PER_MILLE + 6, "{fills:?}");
    }

    #[test]
    fn no_worker_has_more_than_its_share_of_a_function(
        zones in prop::collection::vec(4u64..60, 1..5),
        wanted in prop::collection::vec((0u64..3, 1u64..100), 1..200),
        seed in any::<u64>(),
    ) {
        let members = fleet_of(&zones);
        let mut here: BTreeMap<(u64, WorkerId), u32> = BTreeMap::new();
        let mut all: BTreeMap<u64, u32> = BTreeMap::new();
        for (worker, (function, _)) in place_all(&members, &wanted, seed).iter().zip(&wanted) {
            let here = here.entry((*function, *worker)).or_default();
            let all = all.entry(*function).or_default();
            (*here, *all) = (*here + 1, *all + 1);
            prop_assert!(*here <= most_on_one_worker(*all), "{here} of {all}");
        }
    }
}

/// Alike zones of alike workers fill much closer than the bound.
#[test]
fn equal_zones_get_equally_many() {
    let members = fleet_of(&[100, 100, 100]);
    let wanted: Vec<(u64, u64)> = (0..3_000).map(|n| (n, 10_000)).collect();
    let mut counts = BTreeMap::new();
    for worker in place_all(&members, &wanted, 5) {
        let member = members.iter().find(|m| m.worker == worker).unwrap();
        *counts.entry(member.zone).or_insert(0u32) += 1;
    }
    assert!(counts.values().all(|n| n.abs_diff(1_000) <= 10), "{counts:?}");
}

/// However much speaks for a worker, it gets no more than its share while others have room,
/// and more than that once they have none.
#[test]
fn an_empty_worker_with_the_snapshot_is_not_given_all_of_a_function() {
    let mut fleet = Fleet::default();
    let layers = [Layer(1)];
    fleet.upsert(Member { layers: layers.to_vec(), ..empty(0, 0, MEMORY) });
    for number in 1..5 {
        let promised = room(MEMORY - 20, 0);
        fleet.upsert(Member { promised, ..empty(number, 0, MEMORY) });
    }
    let function = FunctionKey(1);
    let request =
        Request { function, room: room(10, 1), cpu_milli: 1, layers: &layers, avoid: &[] };
    let (mut here, mut crowded) = (0, 0);
    for number in 0..20u32 {
        let decision = fleet.choose(&request, number.into()).unwrap();
        fleet.promise(&decision.worker, sandbox(number.into()), function, request.room, 1);
        here += u32::from(decision.worker == worker(0));
        crowded += u32::from(decision.reasons.tier == Tier::Crowded);
        assert_eq!(crowded > 0, here > most_on_one_worker(number + 1), "{number}: {decision}");
    }
    // The others had room for two each.
    assert_eq!(here, 12);
}
