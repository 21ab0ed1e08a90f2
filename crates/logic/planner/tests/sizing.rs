//! What sizing promises: enough, evenly, in bounded steps, and no worker that has a
//! sandbox is taken away.

use hearth_planner::capacity::{CALM_STEPS, Limits, Load, Sizing, ZoneSize, wanted_workers};
use hearth_planner::placement::Zone;
use proptest::prelude::*;

fn zone(zone: u16, serving: u32, empty: u32) -> ZoneSize {
    let limits = Limits { min: 1, max: 1_000 };
    ZoneSize { zone: Zone(zone), serving, starting: 0, empty, draining: 0, drained: 0, limits }
}

fn load(in_use: u64, upper: u64) -> Load {
    Load { in_use, upper, of_one_worker: 100, headroom_percent: 25 }
}

prop_compose! {
    fn any_zone(number: u16)(
        serving in 0u32..300,
        starting in 0u32..20,
        empty in 0u32..300,
        draining in 0u32..20,
        drained in 0u32..20,
        min in 0u32..50,
        more in 0u32..400,
    ) -> ZoneSize {
        ZoneSize {
            zone: Zone(number),
            serving,
            starting,
            empty: empty.min(serving),
            draining,
            drained: drained.min(draining),
            limits: Limits { min, max: min + more },
        }
    }
}

fn zones() -> impl Strategy<Value = Vec<ZoneSize>> {
    (1u16..5).prop_flat_map(|zones| (0..zones).map(any_zone).collect::<Vec<_>>())
}

/// Does what is said, as if all sandboxes of draining workers ended at once.
fn apply(zones: &mut [ZoneSize], sizing: Sizing, load: &Load) -> Sizing {
    let (next, changes) = sizing.step(load, zones);
    for (zone, change) in zones.iter_mut().zip(changes) {
        zone.serving = zone.serving + zone.starting + change.keep - change.drain;
        zone.draining = zone.draining + change.drain - change.keep;
        zone.starting = change.gain;
        let of_drained = change.lose.min(zone.drained);
        (zone.draining, zone.drained) = (zone.draining - of_drained, zone.drained - of_drained);
        let of_empty = change.lose - of_drained;
        zone.serving -= of_empty;
        zone.empty = 0;
        zone.drained = zone.draining;
    }
    next
}

proptest! {
    #[test]
    fn one_step_is_bounded_and_takes_only_what_is_empty(
        zones in zones(),
        in_use in 0u64..100_000,
        upper in 0u64..100_000,
        steps in 1u32..60,
    ) {
        let load = load(in_use, upper);
        let mut sizing = Sizing::default();
        for step in 1..=steps {
            let (next, changes) = sizing.step(&load, &zones);
            sizing = next;
            for (zone, change) in zones.iter().zip(changes) {
                let has = zone.serving + zone.starting;
                prop_assert!(change.gain <= has.div_ceil(5).max(1));
                prop_assert!(change.lose <= zone.empty + zone.drained);
                prop_assert!(change.lose.max(change.drain) <= has.div_ceil(10));
                prop_assert!(change.keep <= zone.draining);
                prop_assert!(has + change.keep + change.gain <= zone.limits.max.max(has));
                let of_serving = change.drain + change.lose.saturating_sub(zone.drained);
                if of_serving > 0 {
                    prop_assert!(zone.serving - of_serving >= zone.limits.min);
                    prop_assert!(step >= CALM_STEPS || has > zone.limits.max);
                }
                let grows = change.gain + change.keep > 0;
                prop_assert!(!grows || change.drain + change.lose == 0);
            }
        }
    }

    #[test]
    fn what_stays_the_same_comes_to_rest_with_enough_and_evenly(
        mut zones in zones(),
        in_use in 0u64..60_000,
    ) {
        let load = load(in_use, in_use);
        let mut sizing = Sizing::default();
        for _ in 0..500 {
            sizing = apply(&mut zones, sizing, &load);
        }
        let rest = zones.clone();
        for _ in 0..50 {
            sizing = apply(&mut zones, sizing, &load);
            prop_assert_eq!(&zones, &rest);
        }
        let has: u64 = rest.iter().map(|z| u64::from(z.serving)).sum();
        let most: u64 = rest.iter().map(|z| u64::from(z.limits.max)).sum();
        let least: u64 = rest.iter().map(|z| u64::from(z.limits.min)).sum();
        prop_assert!(has >= wanted_workers(&load).min(most));
        prop_assert!(has <= (wanted_workers(&load) * 11 / 10).max(least), "{rest:?}");
        prop_assert!(rest.iter().all(|z| (z.limits.min..=z.limits.max).contains(&z.serving)));
    }

    /// Noise of less than the slack never starts and stops workers in turns.
    #[test]
    fn noise_does_not_flap(noise in prop::collection::vec(0u64..500, 200..300)) {
        let mut zones = vec![zone(0, 50, 0), zone(1, 50, 0), zone(2, 50, 0)];
        let mut sizing = Sizing::default();
        let mut turns = 0;
        let mut before = 150;
        let mut rising = true;
        for extra in noise {
            let demand = 11_500 + extra;
            sizing = apply(&mut zones, sizing, &load(demand, demand));
            let has: u32 = zones.iter().map(|z| z.serving + z.starting).sum();
            if has != before {
                turns += u32::from((has > before) != rising);
                (rising, before) = (has > before, has);
            }
        }
        prop_assert!(turns == 0, "{turns}");
    }
}

#[test]
fn wanted_is_what_the_forecast_says_with_headroom() {
    assert_eq!(wanted_workers(&load(1_000, 4_000)), 50);
    assert_eq!(wanted_workers(&load(4_001, 0)), 51);
    assert_eq!(wanted_workers(&Load { of_one_worker: 0, ..load(u64::MAX, 0) }), 1 << 20);
}

#[test]
fn a_lost_zone_is_made_up_for_by_the_others() {
    let zones = [zone(0, 100, 0), zone(1, 100, 0), zone(2, 0, 0)];
    let zones = zones.map(|z| match z.zone {
        Zone(2) => ZoneSize { limits: Limits { min: 0, max: 0 }, ..z },
        _ => z,
    });
    let (_, changes) = Sizing::default().step(&load(24_000, 24_000), &zones);
    assert_eq!(changes.iter().map(|c| c.gain).collect::<Vec<_>>(), [20, 20, 0]);
}

#[test]
fn a_dip_takes_nothing_away() {
    let zones = [zone(0, 100, 100)];
    let mut sizing = Sizing::default();
    for _ in 1..CALM_STEPS {
        let (next, changes) = sizing.step(&load(0, 0), &zones);
        assert!(changes.iter().all(|c| c.lose + c.drain == 0));
        sizing = next;
    }
    let (busy, _) = sizing.step(&load(8_000, 8_000), &zones);
    assert_eq!(busy, Sizing::default());
    let (_, changes) = sizing.step(&load(0, 0), &zones);
    assert_eq!(changes[0].lose, 10);
}
