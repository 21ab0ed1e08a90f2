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
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Acquires a second: half of what a leader is to bear.
const HALF_LOAD: f64 = 25_000.0;
/// Clients that do so.
const PACED: usize = 64;
const TIME: Duration = Duration::from_secs(5);

/// Warm acquires and releases by `clients` at once until the time is over, one after the
/// other: what each acquire took, sorted.
async fn warm(router: &Router, version: &Arc<FunctionVersion>, clients: u32) -> Vec<Duration> {
    let mut running = JoinSet::new();
    let began = Instant::now();
    for _ in 0..clients {
        let (router, version) = (router.clone(), Arc::clone(version));
        running.spawn(async move {
            let mut took = Vec::new();
            while began.elapsed() < TIME {
                took.push(once(&router, &version).await);
            }
            took
        });
    }
    let mut took: Vec<Duration> = running.join_all().await.into_iter().flatten().collect();
    took.sort();
    took
}

/// The same at a pace, by clients that wait for their turn and for their answer: what each
/// took. A thread of its own says whose turn it is: timers of tokio would do so in bunches,
/// once a ms.
async fn paced(router: &Router, version: &Arc<FunctionVersion>, rate: f64) -> Vec<Duration> {
    let turns = Arc::new(Semaphore::new(0));
    let mut running = JoinSet::new();
    for _ in 0..PACED {
        let (router, version) = (router.clone(), Arc::clone(version));
        let turns = Arc::clone(&turns);
        running.spawn(async move {
            let mut took = Vec::new();
            while let Ok(turn) = turns.acquire().await {
                turn.forget();
                took.push(once(&router, &version).await);
            }
            took
        });
    }
    let gives = tokio::task::spawn_blocking(move || {
        let (began, mut given) = (Instant::now(), 0);
        while began.elapsed() < TIME {
            std::thread::sleep(Duration::from_secs_f64(1.0 / rate));
            let due = (began.elapsed().as_secs_f64() * rate) as usize;
            turns.add_permits(due - given);
            given = due;
        }
        turns.close();
    });
    gives.await.unwrap();
    let mut took: Vec<Duration> = running.join_all().await.into_iter().flatten().collect();
    took.sort();
    took
}

/// One acquire and release: what the first took.
async fn once(router: &Router, version: &Arc<FunctionVersion>) -> Duration {
    let asked = Instant::now();
    let acquired = router.acquire(version, StartKind::Warm).await.unwrap();
    let took = asked.elapsed();
    router.release(acquired.sandbox, acquired.hold, Disposition::Reusable).await;
    took
}

/// Prints how many they were a second, and what they took.
fn told(what: &str, took: &[Duration]) {
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    let rate = took.len() as f64 / TIME.as_secs_f64();
    println!("  {what}: {rate:>7.0}/s, acquire p50 {:?}, p99 {:?}", at(0.5), at(0.99));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "it measures"]
async fn pace() {
    let etcd = Etcd::start(1).await;
    let store = EtcdStore::open(&EtcdOptions::new(etcd.addresses())).unwrap();
    let f = Fixture::start_on(Arc::new(store), Box::new(etcd)).await;
    let version = function(&f, "f").await;
    println!("warm acquire and release at {:?}, by mutual TLS:", partition(&version));
    for clients in [1, 16, 64, 256] {
        let took = warm(&f.router, &version, clients).await;
        told(&format!("{clients:>3} clients"), &took);
    }
    told("      paced", &paced(&f.router, &version, HALF_LOAD).await);
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
