//! How many workers there are.

use super::Fleet;
use super::fleet::{PLACES, config, round, rounds};

#[tokio::test(start_paused = true)]
async fn the_fleet_grows_when_it_is_full_up_to_its_bounds_and_evenly() {
    let fleet = Fleet::new(&[("a", 1), ("b", 1)]);
    let mut manager = fleet.manager(config(1, 4)).await;
    rounds(&mut manager, 3).await;
    assert_eq!(fleet.names().len(), 2, "nobody needs more");
    for _ in 0..120 {
        fleet.state().nodes.values_mut().for_each(|node| node.sandboxes = PLACES);
        round(&mut manager).await.unwrap();
    }
    let mut in_zone = [0, 0];
    for node in fleet.state().nodes.values() {
        in_zone[usize::from(node.record.zone.as_str() == "b")] += 1;
    }
    assert_eq!(in_zone, [4, 4]);
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_is_not_waited_for_until_the_next_step() {
    let fleet = Fleet::new(&[("a", 1)]);
    let mut manager = fleet.manager(config(1, 4)).await;
    // Its sandboxes are of all its memory, so the next one is refused at a third in use.
    rounds(&mut manager, 2).await;
    assert_eq!(fleet.names().len(), 1);
    fleet.state().of("a0").sandboxes = 9;
    fleet.state().refused += 5;
    rounds(&mut manager, 1).await;
    assert_eq!(fleet.state().ups, [("a".to_owned(), 1)]);
    assert_eq!(manager.coming.count(), 1);
    rounds(&mut manager, 1).await;
    assert_eq!(manager.coming.count(), 0, "it came");
}

#[tokio::test(start_paused = true)]
async fn there_are_at_least_as_many_as_there_must_be_in_zones_that_have_none() {
    let fleet = Fleet::new(&[]);
    let zones = ["a", "b"].map(|zone| zone.parse().unwrap());
    let config = super::CapacityConfig { zones: zones.into(), ..config(2, 4) };
    let mut manager = fleet.manager(config).await;
    rounds(&mut manager, 30).await;
    assert_eq!(fleet.names().len(), 4, "{:?}", fleet.names());
}

#[tokio::test(start_paused = true)]
async fn the_fleet_shrinks_after_a_calm_time_and_only_by_empty_workers() {
    let fleet = Fleet::new(&[("a", 6)]);
    // The least used is not the emptiest one there is to be.
    for n in 0..6 {
        fleet.state().of(&format!("a{n}")).sandboxes = u32::from(n < 2);
    }
    let mut manager = fleet.manager(config(1, 10)).await;
    rounds(&mut manager, 170).await;
    assert_eq!(fleet.names().len(), 6, "a dip is no reason");
    let mut before = 6;
    for _ in 0..600 {
        let empty: Vec<String> = {
            let state = fleet.state();
            let empty = state.nodes.iter().filter(|(_, node)| node.sandboxes == 0);
            empty.map(|(name, _)| name.to_string()).collect()
        };
        let downs = fleet.state().downs.len();
        round(&mut manager).await.unwrap();
        let new: Vec<String> = fleet.state().downs[downs..].to_vec();
        assert!(new.iter().all(|name| empty.contains(name)), "{new:?} of {empty:?}");
        assert!(before - fleet.names().len() <= 1, "one at a time");
        before = fleet.names().len();
    }
    // What is on the busy ones keeps them; one of them is told to drain.
    assert_eq!(fleet.names(), ["a0", "a1"]);
    let standings = fleet.standings().await;
    assert!(standings.len() <= 1 && standings.values().all(|record| record.leaves));
    for name in ["a0", "a1"] {
        fleet.state().of(name).sandboxes = 0;
    }
    rounds(&mut manager, 30).await;
    assert_eq!(fleet.names().len(), 1, "the last stays");
    assert!(fleet.standings().await.is_empty(), "records go with their workers");
}

#[tokio::test(start_paused = true)]
async fn demand_that_comes_and_goes_changes_nothing_back_and_forth() {
    let fleet = Fleet::new(&[("a", 3)]);
    let mut manager = fleet.manager(config(1, 10)).await;
    let mut sizes = Vec::new();
    for n in 0..900u32 {
        let sandboxes = if n / 60 % 2 == 0 { 7 } else { 4 };
        fleet.state().nodes.values_mut().for_each(|node| node.sandboxes = sandboxes);
        round(&mut manager).await.unwrap();
        sizes.push(fleet.names().len());
    }
    assert!(sizes.is_sorted(), "grew only");
    assert!(fleet.state().downs.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_that_drains_is_kept_when_it_is_needed_after_all() {
    let fleet = Fleet::new(&[("a", 3)]);
    fleet.state().nodes.values_mut().for_each(|node| node.sandboxes = 1);
    let mut manager = fleet.manager(config(1, 10)).await;
    let mut waited = 0;
    while fleet.standings().await.is_empty() {
        round(&mut manager).await.unwrap();
        waited += 1;
        assert!(waited < 600, "none drains");
    }
    fleet.state().nodes.values_mut().for_each(|node| node.sandboxes = PLACES - 1);
    rounds(&mut manager, 12).await;
    assert!(fleet.standings().await.is_empty());
    assert!(fleet.state().downs.is_empty());
}
