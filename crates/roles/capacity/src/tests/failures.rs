//! Providers that fail, and managers that are replaced.

use super::Fleet;
use super::fleet::{Mood, config, round, rounds};
use crate::hands::ORDER_MAX;
use crate::ledger::LedgerError;
use hearth_services::worker::Standing;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_is_asked_less_and_less() {
    let fleet = Fleet::new(&[("a", 1)]);
    fleet.state().mood = Mood::Fails;
    let mut manager = fleet.manager(config(3, 4)).await;
    // An hour.
    rounds(&mut manager, 360).await;
    let asked = fleet.state().ups.len();
    assert!((6..=14).contains(&asked), "{asked}");
    assert_eq!(manager.coming.count(), 0);
    fleet.state().mood = Mood::Works;
    rounds(&mut manager, 130).await;
    assert_eq!(fleet.names().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_counts_as_coming_until_its_time_is_over() {
    let fleet = Fleet::new(&[("a", 1)]);
    fleet.state().mood = Mood::Idle;
    let config = super::CapacityConfig { arrival_max_s: 300, ..config(3, 4) };
    let mut manager = fleet.manager(config).await;
    hearth_ambient::clock::set(Duration::from_secs(2_000_000_000));
    rounds(&mut manager, 2).await;
    rounds(&mut manager, 26).await;
    // One a step, up to what is wanted, and not again.
    assert_eq!(fleet.state().ups.iter().map(|(_, n)| n).sum::<u32>(), 2);
    hearth_ambient::clock::set(Duration::from_secs(2_000_000_301));
    fleet.state().mood = Mood::Works;
    rounds(&mut manager, 30).await;
    assert_eq!(fleet.names().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn of_what_never_comes_one_at_a_time_is_asked_for() {
    const START_S: u64 = 2_000_000_000;
    let fleet = Fleet::new(&[("a", 1)]);
    fleet.state().mood = Mood::Idle;
    let config = super::CapacityConfig { arrival_max_s: 300, ..config(6, 8) };
    let mut manager = fleet.manager(config).await;
    for ask in 0..8 {
        hearth_ambient::clock::set(Duration::from_secs(START_S + ask * 301));
        rounds(&mut manager, 60).await;
    }
    // Five at first; then one after the other, and less and less often.
    let asked: u32 = fleet.state().ups.iter().map(|(_, count)| count).sum();
    assert!((7..=5 + 7).contains(&asked), "{asked}");
    // Once one comes, as many as are wanted are.
    fleet.state().mood = Mood::Works;
    for ask in 8..12 {
        hearth_ambient::clock::set(Duration::from_secs(START_S + ask * 301));
        rounds(&mut manager, 60).await;
    }
    assert!(fleet.names().len() >= 6, "{:?}", fleet.names());
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_does_not_stop_the_rounds_and_may_have_done_it() {
    let fleet = Fleet::new(&[("a", 1), ("b", 2)]);
    fleet.state().mood = Mood::Hangs;
    let mut manager = fleet.manager(config(2, 4)).await;
    rounds(&mut manager, 2).await;
    assert_eq!(manager.coming.count(), 1);
    let mut took = 0;
    while took * 10 < ORDER_MAX.as_secs() + 30 {
        round(&mut manager).await.unwrap();
        took += 1;
    }
    assert_eq!(fleet.state().ups.len(), 1, "it still counts");
    assert_eq!(manager.coming.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_stopped_is_left_drained_and_another_comes() {
    let fleet = Fleet::new(&[("a", 2)]);
    fleet.state().add("foreign", "a");
    let mut manager = fleet.manager(config(3, 4)).await;
    rounds(&mut manager, 2).await;
    fleet.state().of("foreign").answers = false;
    rounds(&mut manager, 14).await;
    assert_eq!(fleet.names(), ["a0", "a1", "foreign", "x0"]);
    assert!(fleet.state().downs.is_empty());
    let out: Vec<_> = fleet.standings().await.into_values().map(|r| r.standing).collect();
    assert_eq!(out, [Standing::Draining]);
}

#[tokio::test(start_paused = true)]
async fn another_manager_goes_on_and_the_one_before_changes_nothing_more() {
    let fleet = Fleet::new(&[("a", 2)]);
    fleet.state().mood = Mood::Idle;
    let mut first = fleet.manager(config(3, 4)).await;
    rounds(&mut first, 9).await;
    assert_eq!(fleet.state().ups.len(), 1);
    fleet.state().of("a0").answers = false;
    let mut waited = 0;
    // It counts as on its way out as well, so that the sick one waits for it.
    fleet.state().add("late", "a");
    while fleet.standings().await.values().all(|r| r.standing != Standing::Cordoned) {
        round(&mut first).await.unwrap();
        waited += 1;
        assert!(waited < 30, "not cordoned");
    }
    let seasonal = first.demand.seasonal.clone();
    first.ledger.put_use(&seasonal).await.unwrap();
    let ups = fleet.state().ups.len();

    let mut second = fleet.manager(config(3, 4)).await;
    assert_eq!(second.demand.seasonal, seasonal);
    assert_eq!(second.coming, first.coming);
    rounds(&mut second, 1).await;
    let out = fleet.standings().await;
    assert_eq!(out.len(), 1);
    assert!(out.values().all(|record| record.standing == Standing::Draining));
    assert_eq!(fleet.state().ups.len(), ups, "what is coming is not asked for again");
    fleet.state().mood = Mood::Works;
    rounds(&mut second, 8).await;
    assert!(!fleet.names().contains(&"a0".to_owned()));

    fleet.state().of("a1").answers = false;
    let ended = loop {
        if let Err(error) = round(&mut first).await {
            break error;
        }
    };
    assert!(matches!(ended, LedgerError::Deposed), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_of_years_of_use_fits_in_a_record() {
    use hearth_forecast::seasonal::{DEMAND_MAX, STEP, Seasonal};
    let mut seasonal = Seasonal::default();
    let mut chance = 1u64;
    for step in 0..8_000 {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seasonal.note(STEP * step, (chance >> 20) % DEMAND_MAX);
    }
    let fleet = Fleet::new(&[]);
    let manager = fleet.manager(config(1, 1)).await;
    manager.ledger.put_use(&seasonal).await.unwrap();
    assert_eq!(fleet.manager(config(1, 1)).await.demand.seasonal, seasonal);
}
