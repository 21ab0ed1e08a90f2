//! Small runs of all scenarios. That no worker is over its room, no sandbox runs two
//! events and none is where none may be is asserted by the runs themselves.

use hearth_sim::{Kind, OutOfBounds, Report, Scenario};

const SEED: u64 = 7;

fn run(scenario: &Scenario, seed: u64) -> Report {
    hearth_sim::run(scenario, seed).unwrap()
}

fn small(kind: Kind) -> Report {
    run(&Scenario::new(kind, 100, 5_000, 60), SEED)
}

/// Calls that began or were refused are all, but for those that wait at either end.
fn check_sums(report: &Report) {
    let ended = report.warm + report.restored + report.cold + report.refused;
    assert!(report.calls.abs_diff(ended) <= 50, "{report}");
    assert!(report.calls > 5_000 && report.warm > report.restored + report.cold, "{report}");
    assert_eq!(report.wait_p50_ms, 1, "half of all calls are warm: {report}");
    if report.scenario.kind != Kind::LeaderLoss {
        assert_eq!((report.leaders_lost, report.disobeyed), (0, 0), "{report}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_does_not() {
    for kind in Kind::ALL {
        let (one, other) = (small(kind), small(kind));
        assert_eq!(one, other);
        assert_eq!(one.to_string(), other.to_string());
    }
    let scenario = Scenario::new(Kind::Steady, 100, 5_000, 60);
    assert_ne!(run(&scenario, SEED + 1).digest, run(&scenario, SEED).digest);
}

#[test]
fn a_steady_fleet_refuses_nothing_and_is_balanced() {
    let report = small(Kind::Steady);
    check_sums(&report);
    assert_eq!(report.refused, 0, "{report}");
    assert!(report.cold_start_per_mille() < 250, "{report}");
    assert!(report.zone_gap_per_mille.1 <= 60, "{report}");
    assert_eq!(report.refused_by_workers, 0, "the view never promised too much: {report}");
}

#[test]
fn a_lost_zone_costs_what_was_in_it_and_comes_back() {
    let report = small(Kind::ZoneLoss);
    check_sums(&report);
    assert!(report.died >= 26, "{report}");
    assert_eq!(report.refused, 0, "{report}");
    assert!(report.lost_events <= 20, "only what ran in it: {report}");
    assert!(report.gained > 0 && report.workers >= 60, "{report}");
    let steady = small(Kind::Steady);
    let more = report.cold_start_per_mille() - steady.cold_start_per_mille();
    assert!(more <= 60, "{more} in a thousand more cold starts");
}

#[test]
fn a_flash_crowd_is_served() {
    let report = small(Kind::FlashCrowd);
    check_sums(&report);
    assert!(report.calls > 12_000, "{report}");
    assert_eq!(report.refused, 0, "{report}");
}

#[test]
fn rolling_restarts_lose_no_event() {
    let report = small(Kind::RollingRestarts);
    check_sums(&report);
    assert!(report.replaced >= 50, "{report}");
    assert_eq!((report.refused, report.lost_events), (0, 0), "{report}");
}

/// That no sandbox is lost, none runs two events, and no worker obeys who was deposed is
/// asserted while it runs.
#[test]
fn leaders_that_die_or_hang_are_replaced_and_all_sandboxes_taken_over() {
    let report = small(Kind::LeaderLoss);
    check_sums(&report);
    assert_eq!(report.leaders_lost, 16, "{report}");
    assert!(report.inherited > 500 && report.disobeyed > 100, "{report}");
    assert_eq!((report.refused, report.lost_events), (0, 0), "{report}");
    let steady = small(Kind::Steady);
    assert!(report.cold_start_per_mille() <= steady.cold_start_per_mille() + 5, "{report}");
}

#[test]
fn a_fleet_that_is_too_small_makes_room_and_then_refuses() {
    let mut scenario = Scenario::new(Kind::Steady, 6, 5_000, 40);
    let report = run(&scenario, SEED);
    assert!(report.evicted > 500, "{report}");
    assert_eq!(report.refused, 0, "{report}");
    (scenario.worker_mib, scenario.kind) = (1_536, Kind::FlashCrowd);
    let report = run(&scenario, SEED);
    assert!(report.refused > 0, "{report}");
    assert_eq!(report, run(&scenario, SEED));
}

#[test]
fn the_least_of_everything_runs_and_nothing_does_not() {
    for kind in Kind::ALL {
        let least = Scenario { zones: 1, worker_mib: 1_536, ..Scenario::new(kind, 1, 1, 1) };
        run(&least, SEED);
        let none = |scenario: Scenario| hearth_sim::run(&scenario, SEED).unwrap_err();
        assert_eq!(none(Scenario { workers: 0, ..least }), OutOfBounds::Workers);
        assert_eq!(none(Scenario { functions: 0, ..least }), OutOfBounds::Functions);
        assert_eq!(none(Scenario { minutes: 0, ..least }), OutOfBounds::Minutes);
        assert_eq!(none(Scenario { zones: 2, ..least }), OutOfBounds::Zones);
        assert_eq!(none(Scenario { worker_mib: 9, ..least }), OutOfBounds::WorkerMemory);
    }
}

/// Of several workers that turned out to be sick at once, what was starting on the first
/// was placed on the second.
#[test]
fn what_a_sick_worker_gives_up_does_not_go_to_another_sick_one() {
    run(&Scenario::new(Kind::ZoneLoss, 30, 20_000, 40), 101);
}
