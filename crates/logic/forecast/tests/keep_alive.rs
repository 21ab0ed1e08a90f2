//! What must hold of a function's sandboxes whatever its events and its clock do.

use hearth_forecast::keep_alive::{
    Arrivals, FADE_AFTER, FunctionDemand, HOLD_MAX, LEVELS_MAX, Rule, STANDARD_KEEP_ALIVE, Why,
};
use proptest::prelude::*;
use std::time::Duration;

fn rules() -> impl Strategy<Value = Rule> {
    let time = any::<u64>().prop_map(Duration::from_secs);
    prop_oneof![
        time.clone().prop_map(|keep_for| Rule::Fixed { keep_for }),
        Just(Rule::Percentiles),
        time.prop_map(|idle_per_cold_start| Rule::Worth { idle_per_cold_start }),
        (0u64..200_000).prop_map(|s| Rule::Worth { idle_per_cold_start: Duration::from_secs(s) }),
        (0u64..200_000).prop_map(|s| Rule::NoWorse { idle_per_cold_start: Duration::from_secs(s) }),
        Just(Rule::NoWorse { idle_per_cold_start: Duration::MAX }),
    ]
}

/// Times that mostly go on, by seconds to days, and sometimes are anything.
fn times() -> impl Strategy<Value = Vec<Duration>> {
    let step = prop_oneof![
        6 => (0u64..200).prop_map(Ok),
        6 => (0u64..20_000).prop_map(Ok),
        2 => (0u64..600_000).prop_map(Ok),
        1 => any::<u64>().prop_map(Err),
    ];
    prop::collection::vec(step, 1..200).prop_map(|steps| {
        let mut now = 0u64;
        let mut at = |step| {
            match step {
                Ok(later) => now = now.saturating_add(later),
                Err(anything) => now = anything,
            }
            Duration::from_secs(now)
        };
        steps.into_iter().map(&mut at).collect()
    })
}

proptest! {
    #[test]
    fn policies_are_bounded_and_in_order(times in times(), rule in rules()) {
        let mut arrivals = Arrivals::default();
        for now in times {
            arrivals.note(now);
            let policy = arrivals.policy(rule);
            prop_assert!(policy.keep_for <= HOLD_MAX);
            if let Some(window) = policy.restore {
                prop_assert!(policy.keep_for <= window.from, "{policy:?}");
                prop_assert!(window.from < window.until && window.until <= HOLD_MAX);
                prop_assert!(policy.holds(window.from) && !policy.holds(window.until));
            }
            prop_assert!(arrivals.bytes() <= Arrivals::BYTES_MAX);
        }
        let stored = postcard::to_stdvec(&arrivals).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Arrivals>(&stored).unwrap(), arrivals);
    }

    #[test]
    fn the_next_change_is_where_the_answer_changes(
        times in times(), rule in rules(), idle in 0u64..400_000,
    ) {
        let mut arrivals = Arrivals::default();
        times.into_iter().for_each(|now| arrivals.note(now));
        let policy = arrivals.policy(rule);
        let idle = Duration::from_secs(idle);
        match policy.next_change(idle) {
            Some(at) => {
                prop_assert!(at > idle);
                let before = at - Duration::from_nanos(1);
                prop_assert_eq!(policy.holds(idle), policy.holds(before));
            }
            None => prop_assert_eq!(policy.holds(idle), policy.holds(HOLD_MAX * 2)),
        }
        let held = policy.held(idle);
        prop_assert!(held <= idle);
    }

    #[test]
    fn a_function_never_wants_more_than_overlapped_and_survives_a_restart(
        times in times(), rule in rules(), ends in prop::collection::vec(any::<bool>(), 200),
    ) {
        let mut demand = FunctionDemand::new(rule);
        let mut most = 0;
        for (now, ends) in times.into_iter().zip(ends) {
            if ends { demand.ended(now) } else { demand.began(now) }
            most = most.max(demand.busy());
            prop_assert!(demand.idle_wanted(now) + demand.busy() <= most);
            prop_assert!(demand.next_change(now).is_none_or(|at| at > now));
            let levels = most.min(LEVELS_MAX);
            // The vector of levels grows by doubling, too.
            let bound = 4_096 + 2 * levels.next_power_of_two() * FunctionDemand::BYTES_MAX;
            prop_assert!(demand.bytes() <= bound);
        }
        let stored = serde_json::to_string(&demand).unwrap();
        let mut restarted: FunctionDemand = serde_json::from_str(&stored).unwrap();
        prop_assert_eq!(restarted.busy(), 0);
        prop_assert!((0..most).all(|beside| restarted.policy(beside) == demand.policy(beside)));
        restarted.found_busy(Duration::ZERO, 3);
        prop_assert_eq!(restarted.busy(), 3);
    }
}

#[test]
fn what_was_learnt_fades_and_is_learnt_anew() {
    let mut arrivals = Arrivals::default();
    let half_hours = |arrivals: &mut Arrivals, from: Duration, minutes: u64, times: u32| {
        (0..times).for_each(|n| arrivals.note(from + Duration::from_secs(60 * minutes) * n));
        from + Duration::from_secs(60 * minutes) * times
    };
    let window = |arrivals: &Arrivals| {
        let policy = arrivals.policy(Rule::default());
        policy.restore.map(|window| window.from.as_secs() / 60)
    };
    let now = half_hours(&mut arrivals, Duration::ZERO, 30, 500);
    assert_eq!(window(&arrivals), Some(29));
    half_hours(&mut arrivals, now, 90, 200);
    assert_eq!(window(&arrivals), Some(89));
}

#[test]
fn a_long_silence_leaves_nothing_but_the_standard() {
    let mut arrivals = Arrivals::default();
    (0..100).for_each(|n| arrivals.note(Duration::from_secs(1800 * n)));
    assert_eq!(arrivals.policy(Rule::default()).why, Why::Histogram);
    arrivals.note(Duration::from_secs(180_000) + FADE_AFTER * 40);
    let policy = arrivals.policy(Rule::default());
    assert_eq!((policy.keep_for, policy.why), (STANDARD_KEEP_ALIVE, Why::Learning));
}

/// One call each half hour, but two at once each third time.
#[test]
fn each_of_two_sandboxes_has_a_policy_of_its_own() {
    let mut demand = FunctionDemand::new(Rule::default());
    let half_hour = Duration::from_secs(1800);
    let second = Duration::from_secs(1);
    let mut at = Duration::ZERO;
    for n in 0..60 {
        at = half_hour * n;
        let calls = if n % 3 == 0 { 2 } else { 1 };
        (0..calls).for_each(|_| demand.began(at));
        (0..calls).for_each(|_| demand.ended(at + second));
    }
    // The last one had one call, and the next has two.
    assert_eq!(demand.idle_wanted(at + half_hour / 2), 0);
    assert_eq!(demand.idle_wanted(at + half_hour), 2);
    let restored = demand.next_change(at + half_hour / 2).unwrap();
    assert!(restored > at + half_hour - Duration::from_secs(120) && restored < at + half_hour);
    // The one after that has one.
    demand.began(at + half_hour);
    demand.began(at + half_hour);
    demand.ended(at + half_hour + second);
    demand.ended(at + half_hour + second);
    assert_eq!(demand.idle_wanted(at + half_hour * 2), 1);
}

#[test]
fn sandboxes_that_nobody_needed_for_long_are_forgotten() {
    let mut demand = FunctionDemand::new(Rule::default());
    (0..50).for_each(|_| demand.began(Duration::ZERO));
    (0..50).for_each(|_| demand.ended(Duration::from_secs(1)));
    let many = demand.bytes();
    demand.began(FADE_AFTER * 5);
    demand.ended(FADE_AFTER * 5);
    assert!(demand.bytes() * 4 < many, "{} of {many}", demand.bytes());
    assert_eq!((demand.policy(0).is_some(), demand.policy(1)), (true, None));
}
