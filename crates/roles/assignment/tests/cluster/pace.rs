//! How fast a leader is: `cargo test --release -p hearth-assignment --test cluster -- --ignored
//! --nocapture pace`. Not run with the others: what it finds is this machine's.

use super::{Fixture, function, partition};
use hearth_cluster::Router;
use hearth_services::assignment::{Assignment, Disposition};
use hearth_types::{FunctionVersion, StartKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const TIME: Duration = Duration::from_secs(5);

/// Warm acquires and releases by `clients` at once, until the time is over: how many, and
/// what each acquire took.
async fn warm(
    router: &Router,
    version: &Arc<FunctionVersion>,
    clients: usize,
) -> (usize, Vec<Duration>) {
    let mut running = JoinSet::new();
    let began = Instant::now();
    for _ in 0..clients {
        let (router, version) = (router.clone(), Arc::clone(version));
        running.spawn(async move {
            let mut took = Vec::new();
            while began.elapsed() < TIME {
                let asked = Instant::now();
                let acquired = router.acquire(&version, StartKind::Warm).await.unwrap();
                took.push(asked.elapsed());
                router.release(acquired.sandbox, acquired.hold, Disposition::Reusable).await;
            }
            took
        });
    }
    let mut all: Vec<Duration> = running.join_all().await.into_iter().flatten().collect();
    all.sort();
    (all.len(), all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn pace() {
    let f = Fixture::start().await;
    let version = function(&f, "f").await;
    println!(
        "warm acquire and release at {:?}, across processes' way (rpc, no TLS):",
        partition(&version)
    );
    for clients in [1, 16, 64, 256] {
        let (count, took) = warm(&f.router, &version, clients).await;
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        println!(
            "  {clients:>3} clients: {:>8.0}/s, acquire p50 {:?}, p99 {:?}",
            count as f64 / TIME.as_secs_f64(),
            at(0.5),
            at(0.99),
        );
    }
    // New sandboxes: front end, leader, journal, placement, worker, all but the microVM.
    let began = Instant::now();
    let mut running = JoinSet::new();
    for client in 0..128 {
        let router = f.router.clone();
        let version = function(&f, &format!("n{client}")).await;
        running.spawn(async move {
            let mut made = 0;
            while began.elapsed() < TIME {
                let acquired = router.acquire(&version, StartKind::Cold).await.unwrap();
                router.release(acquired.sandbox, acquired.hold, Disposition::Discard).await;
                made += 1;
            }
            made
        });
    }
    let made: u32 = running.join_all().await.into_iter().sum();
    println!("creations: {:.0}/s", f64::from(made) / began.elapsed().as_secs_f64());
}
