//! Workers that are not well.

use super::Fleet;
use super::fleet::{Pretender, config, round, rounds};
use hearth_planner::capacity::Health;
use hearth_services::worker::Standing;

#[tokio::test(start_paused = true)]
async fn a_silent_worker_is_cordoned_drained_and_replaced() {
    let fleet = Fleet::new(&[("a", 2), ("b", 2)]);
    let mut manager = fleet.manager(config(2, 4)).await;
    rounds(&mut manager, 3).await;
    let sick = fleet.state().of("a0").record.worker.unwrap();
    fleet.state().of("a0").answers = false;
    fleet.state().of("a0").sandboxes = 3;
    let mut seen = Vec::new();
    for _ in 0..12 {
        round(&mut manager).await.unwrap();
        let standing = fleet.standings().await.get(&sick).map(|record| record.standing);
        seen.extend(standing.filter(|now| seen.last() != Some(now)));
    }
    assert_eq!(seen, [Standing::Cordoned, Standing::Draining]);
    assert_eq!(fleet.state().downs, ["a0"]);
    assert_eq!(fleet.state().ups, [("a".to_owned(), 1)]);
    assert_eq!(fleet.names(), ["a1", "b0", "b1", "x0"]);
    assert!(fleet.standings().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_whose_sandboxes_fail_is_replaced_though_it_answers() {
    let fleet = Fleet::new(&[("a", 2)]);
    let mut manager = fleet.manager(config(2, 4)).await;
    rounds(&mut manager, 2).await;
    for _ in 0..10 {
        if fleet.names().contains(&"a1".to_owned()) {
            fleet.state().of("a1").outcomes.failed += 5;
        }
        round(&mut manager).await.unwrap();
    }
    assert_eq!(fleet.names(), ["a0", "x0"]);
}

#[tokio::test(start_paused = true)]
async fn many_sick_ones_go_one_after_another() {
    let fleet = Fleet::new(&[("a", 8)]);
    let mut manager = fleet.manager(config(8, 8)).await;
    rounds(&mut manager, 2).await;
    for n in 0..3 {
        fleet.state().of(&format!("a{n}")).answers = false;
    }
    for _ in 0..40 {
        round(&mut manager).await.unwrap();
        // The record of one that was stopped goes a round later than itself.
        let out = fleet.standings().await;
        let is_out = |node: &Pretender| out.contains_key(&node.record.worker.unwrap());
        let there = fleet.state().nodes.values().filter(|node| is_out(node)).count();
        assert!(there <= 1, "one in 25 at once");
    }
    assert_eq!(fleet.state().downs.len(), 3);
    let names = fleet.names();
    assert!((0..3).all(|n| !names.contains(&format!("a{n}"))), "{names:?}");
    assert_eq!(names.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn the_last_healthy_worker_of_a_zone_is_never_sent_out() {
    let fleet = Fleet::new(&[("a", 3), ("b", 3)]);
    let mut manager = fleet.manager(config(1, 3)).await;
    rounds(&mut manager, 2).await;
    fleet.state().mood = super::fleet::Mood::Fails;
    // Two of each zone come and go at random, while too many workers are there anyway.
    let (mut chance, mut healthy_sent_out) = (7u64, 0);
    let mut before = fleet.standings().await;
    for _ in 0..1500 {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        for (bit, name) in ["a0", "a1", "b0", "b1"].iter().enumerate() {
            if chance >> 33 & 31 == bit as u64 {
                let mut state = fleet.state();
                let answers = state.of(name).answers;
                state.of(name).answers = !answers;
            }
        }
        round(&mut manager).await.unwrap();
        let out = fleet.standings().await;
        for id in out.keys().filter(|id| !before.contains_key(id)) {
            let worker = &manager.roster.workers[id];
            let zone = &worker.machine.zone;
            let mut left =
                manager.roster.in_zone(zone).filter(|w| !out.contains_key(&w.machine.worker));
            let is_last = !left.any(|w| w.health() == Health::Healthy);
            assert!(worker.health() != Health::Healthy || !is_last, "{zone}: {out:?}");
            healthy_sent_out += u32::from(worker.health() == Health::Healthy);
        }
        before = out;
    }
    assert!(healthy_sent_out > 0, "none was ever at stake");
    assert!(!fleet.state().downs.is_empty(), "nothing was tried");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_well_again_serves_again() {
    let fleet = Fleet::new(&[("a", 3)]);
    let mut manager = fleet.manager_with(config(1, 4), false).await;
    rounds(&mut manager, 2).await;
    fleet.state().of("a0").answers = false;
    rounds(&mut manager, 10).await;
    let standings = fleet.standings().await;
    assert!(standings.values().all(|record| record.standing == Standing::Draining));
    assert_eq!(standings.len(), 1);
    fleet.state().of("a0").answers = true;
    rounds(&mut manager, 16).await;
    assert!(fleet.standings().await.is_empty());
    let state = fleet.state();
    assert!(state.ups.is_empty() && state.downs.is_empty(), "it only watches");
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_hears_hardly_anybody_decides_nothing() {
    let fleet = Fleet::new(&[("a", 5)]);
    let mut manager = fleet.manager(config(5, 9)).await;
    rounds(&mut manager, 2).await;
    for n in 0..4 {
        fleet.state().of(&format!("a{n}")).answers = false;
    }
    rounds(&mut manager, 30).await;
    assert!(fleet.standings().await.is_empty());
    assert!(fleet.state().ups.is_empty() && fleet.state().downs.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_gone_is_replaced_and_one_that_restarts_is_not() {
    let fleet = Fleet::new(&[("a", 3)]);
    let mut manager = fleet.manager(config(3, 4)).await;
    rounds(&mut manager, 2).await;
    // Another life of the same node.
    fleet.state().add("a0", "a");
    rounds(&mut manager, 12).await;
    assert!(fleet.state().ups.is_empty() && fleet.state().downs.is_empty());
    assert_eq!(manager.roster.workers.len(), 3);
    fleet.state().nodes.remove(&"a1".parse().unwrap());
    rounds(&mut manager, 12).await;
    assert_eq!(fleet.names(), ["a0", "a2", "x0"]);
    assert_eq!(fleet.state().downs, ["a1"], "what may be left of it is cleared away");
}
