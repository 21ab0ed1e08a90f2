//! One generator for each kind of trace.

use super::random::Random;
use crate::replay::Call;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long calls of a function run on average: 100 ms to 10 s.
fn usual_run(random: &mut Random) -> Duration {
    Duration::from_millis(random.one_of(&[100, 300, 1_000, 3_000, 10_000]))
}

/// How long one call runs: around its function's average.
fn run(random: &mut Random, usual: Duration) -> Duration {
    random.time(usual / 2, usual * 3 / 2)
}

pub(super) fn bursty(mut random: Random, end: Duration) -> Vec<Call> {
    let usual = usual_run(&mut random);
    let between = MINUTE * random.one_of(&[20, 30, 45, 60, 90, 120]) as u32;
    let mut calls = Vec::new();
    let mut at = random.wait(between);
    while at < end {
        // Twice the size, half as often.
        let doublings = random.next().trailing_ones().min(5);
        let size = random.between(1 << doublings, (2 << doublings) - 1);
        for _ in 0..size {
            let at = at + random.time(Duration::ZERO, MINUTE);
            calls.push(Call { at, runs: run(&mut random, usual) });
        }
        at += random.wait(between);
    }
    calls.retain(|call| call.at < end);
    calls
}

pub(super) fn periodic(mut random: Random, end: Duration) -> Vec<Call> {
    let usual = usual_run(&mut random);
    let period = MINUTE * random.one_of(&[5, 10, 15, 20, 30, 60, 90, 120, 180]) as u32;
    let at_once = random.one_of(&[1, 1, 1, 2, 3, 6]);
    let late = (period / 20).min(2 * MINUTE);
    let mut calls = Vec::new();
    let mut due = random.time(Duration::ZERO, period);
    while due < end {
        for _ in 0..at_once {
            let at = due + random.time(Duration::ZERO, late);
            calls.push(Call { at, runs: run(&mut random, usual) });
        }
        due += period;
    }
    calls.retain(|call| call.at < end);
    calls
}

pub(super) fn rare_scheduled(mut random: Random, end: Duration) -> Vec<Call> {
    let usual = usual_run(&mut random);
    let period = HOUR * random.one_of(&[6, 8, 12, 24]) as u32;
    let in_a_row = random.one_of(&[1, 2, 3]);
    let mut calls = Vec::new();
    let mut due = random.time(Duration::ZERO, period);
    while due < end {
        let mut at = due + random.time(Duration::ZERO, 6 * MINUTE);
        for _ in 0..in_a_row {
            let runs = run(&mut random, usual);
            calls.push(Call { at, runs });
            at += runs + random.time(SECOND, 10 * SECOND);
        }
        due += period;
    }
    calls.retain(|call| call.at < end);
    calls
}

pub(super) fn rare_random(mut random: Random, end: Duration) -> Vec<Call> {
    let usual = usual_run(&mut random);
    let between = HOUR * random.one_of(&[2, 4, 8, 12]) as u32;
    let mut calls = Vec::new();
    let mut at = random.wait(between);
    while at < end {
        calls.push(Call { at, runs: run(&mut random, usual) });
        at += random.wait(between);
    }
    calls
}

/// Percent of the busiest hour's rate, by hour.
const OF_PEAK: [u64; 24] =
    [12, 8, 6, 5, 5, 6, 10, 25, 50, 80, 95, 100, 90, 95, 100, 95, 90, 80, 65, 55, 50, 40, 28, 18];
/// Percent of a working day's rate at a weekend.
const WEEKEND: u64 = 40;

/// How many events come at that time, in percent of the most.
pub(super) fn share_of_peak(at: Duration) -> u64 {
    let hour = at.as_secs() / HOUR.as_secs();
    let of_day = OF_PEAK[(hour % 24) as usize];
    let weekend = (hour / 24) % 7 >= 5;
    if weekend { of_day * WEEKEND / 100 } else { of_day }
}

pub(super) fn diurnal(mut random: Random, end: Duration) -> Vec<Call> {
    let usual = usual_run(&mut random);
    let at_peak = SECOND * random.one_of(&[15, 30, 60, 120, 300, 600]) as u32;
    let shift = random.time(Duration::ZERO, 7 * DAY);
    let mut calls = Vec::new();
    let mut at = random.wait(at_peak);
    while at < end {
        // Thinned out: of events at the peak's rate, the hour's share is taken.
        if random.between(1, 100) <= share_of_peak(at + shift) {
            calls.push(Call { at, runs: run(&mut random, usual) });
        }
        at += random.wait(at_peak);
    }
    calls
}

/// Sandboxes in the busiest hour of the first week.
const FLEET_AT_PEAK: u64 = 2_000;

pub(super) fn fleet_demand(mut random: Random, steps: u32) -> Vec<u64> {
    let mut noise = 1_000;
    let step = |n: u32| {
        let at = crate::seasonal::STEP * n;
        // From this hour's share on to the next one's.
        let (now, next) = (share_of_peak(at), share_of_peak(at + HOUR));
        let into = at.as_secs() % HOUR.as_secs();
        let share = now * (HOUR.as_secs() - into) + next * into;
        let grown = 100 + 10 * at.as_secs() / (7 * DAY.as_secs());
        // Each step goes a twelfth of the way to somewhere else.
        noise = (noise * 11 + random.between(700, 1_300)) / 12;
        FLEET_AT_PEAK * share / HOUR.as_secs() * grown / 100 * noise / 100_000
    };
    (0..steps).map(step).collect()
}
