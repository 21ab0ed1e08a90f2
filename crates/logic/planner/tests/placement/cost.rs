//! What a decision costs at 10,000 workers. For release builds:
//! `cargo test --release -p hearth-planner --test placement -- --ignored --nocapture cost`

use crate::fleets::{empty, room, sandbox};
use hearth_planner::placement::{Fleet, FunctionKey, Layer, Member, Request, Standing};
use std::hint::black_box;
use std::time::Instant;

const WORKERS: u64 = 10_000;
const MEMORY: u64 = 64 << 30;
/// The promise.
const MICROSECONDS_MAX: f64 = 100.0;

fn members(promised: u64, disk: u64, standing: Standing) -> impl Iterator<Item = Member> {
    (0..WORKERS).map(move |n| Member {
        standing,
        promised: room(promised + (n % 7) * (64 << 20), disk),
        sandboxes: 100,
        functions: (0..100).map(|f| (FunctionKey(n * 37 % 90_000 + f), 1)).collect(),
        layers: (0..64).map(|l| Layer(n * 13 % 30_000 + l)).collect(),
        ..empty(n, (n % 3) as u16, MEMORY)
    })
}

/// Microseconds for each of many decisions, with what is noted of them.
fn measure(name: &str, fleet: &mut Fleet, decisions: u64, need: u64) -> f64 {
    let began = Instant::now();
    let mut placed = 0u64;
    for n in 0..decisions {
        let function = FunctionKey(n * 7 % 90_000);
        let layers = [Layer(n % 30_000), Layer(n % 4)];
        let need = room(need, 1 << 20);
        let request = Request { function, room: need, cpu_milli: 100, layers: &layers, avoid: &[] };
        if let Ok(decision) = black_box(fleet.choose(&request, n)) {
            placed += u64::from(fleet.promise(&decision.worker, sandbox(n), function, need, 100));
        }
    }
    let each = began.elapsed().as_secs_f64() * 1e6 / decisions as f64;
    println!("{name}: {each:.2} µs a decision, {placed} of {decisions} placed");
    each
}

#[test]
#[ignore = "a measurement, for release builds"]
fn cost_of_a_decision_at_ten_thousand_workers() {
    const DISK: u64 = 1 << 30;
    let load = |promised, disk, standing| {
        let mut fleet = Fleet::default();
        members(promised, disk, standing).for_each(|member| assert!(fleet.upsert(member)));
        fleet
    };
    let began = Instant::now();
    let mut fleet = load(MEMORY / 2, DISK, Standing::Healthy);
    println!("joining: {:.2} µs a worker", began.elapsed().as_secs_f64() * 1e6 / WORKERS as f64);
    let mut costs = vec![measure("half full", &mut fleet, 100_000, 256 << 20)];
    let began = Instant::now();
    let again = members(MEMORY / 2, DISK, Standing::Healthy).map(|member| fleet.upsert(member));
    assert_eq!(again.filter(|ok| *ok).count() as u64, WORKERS);
    println!("heartbeat: {:.2} µs", began.elapsed().as_secs_f64() * 1e6 / WORKERS as f64);
    let mut full = load(MEMORY - (500 << 20), DISK, Standing::Healthy);
    costs.push(measure("nearly full, then full", &mut full, 20_000, 256 << 20));
    costs.push(measure("full", &mut full, 5_000, 1 << 30));
    let mut suspect = load(MEMORY / 2, DISK, Standing::Suspect);
    costs.push(measure("all suspect", &mut suspect, 2_000, 256 << 20));
    // The worst: all have the memory, so each has to be looked at, and none has the disk.
    let mut no_disk = load(MEMORY / 2, MEMORY, Standing::Healthy);
    costs.push(measure("memory but no disk", &mut no_disk, 2_000, 256 << 20));
    assert!(costs.iter().all(|cost| *cost <= MICROSECONDS_MAX), "{costs:?}");
}
