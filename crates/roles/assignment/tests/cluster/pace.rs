//! How fast a leader is: `cargo test --release -p hearth-assignment --test cluster -- --ignored
//! --nocapture pace`. Not run with the others: what it finds is this machine's.

use super::{Fixture, function, partition};
use hearth_cluster::Router;
use hearth_metastore_etcd::{EtcdOptions, EtcdStore};
use hearth_services::assignment::{Assignment, Disposition};
use hearth_test_servers::Etcd;
use hearth_types::{FunctionVersion, StartKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Acquires a second: half of what a leader is to bear.
const HALF_LOAD: u32 = 25_000;
const TIME: Duration = Duration::from_secs(5);

/// Warm acquires and releases by `clients` at once until the time is over, one after the
/// other, or one each `pace`: what each acquire took, sorted.
async fn warm(
    router: &Router,
    version: &Arc<FunctionVersion>,
    clients: u32,
    pace: Duration,
) -> Vec<Duration> {
    let mut running = JoinSet::new();
    let began = Instant::now();
    for client in 0..clients {
        let (router, version) = (router.clone(), Arc::clone(version));
        running.spawn(async move {
            let mut took = Vec::new();
            let mut next = began + pace * client / clients;
            while began.elapsed() < TIME {
                tokio::time::sleep_until(next).await;
                let asked = Instant::now();
                let acquired = router.acquire(&version, StartKind::Warm).await.unwrap();
                took.push(asked.elapsed());
                router.release(acquired.sandbox, acquired.hold, Disposition::Reusable).await;
                next += pace;
            }
            took
        });
    }
    let mut took: Vec<Duration> = running.join_all().await.into_iter().flatten().collect();
    took.sort();
    took
}

/// Prints how many they were a second, and what they took.
fn told(what: &str, took: &[Duration]) {
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    let rate = took.len() as f64 / TIME.as_secs_f64();
    println!("  {what}: {rate:>7.0}/s, acquire p50 {:?}, p99 {:?}", at(0.5), at(0.99));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn pace() {
    let etcd = Etcd::start(1).await;
    let store = EtcdStore::open(&EtcdOptions::new(etcd.addresses())).unwrap();
    let f = Fixture::start_on(Arc::new(store), Box::new(etcd)).await;
    let version = function(&f, "f").await;
    println!("warm acquire and release at {:?}, by mutual TLS:", partition(&version));
    for clients in [1, 16, 64, 256] {
        let took = warm(&f.router, &version, clients, Duration::ZERO).await;
        told(&format!("{clients:>3} clients"), &took);
    }
    let pace = Duration::from_secs(1) * 64 / HALF_LOAD;
    told(" 64 clients, paced", &warm(&f.router, &version, 64, pace).await);
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
