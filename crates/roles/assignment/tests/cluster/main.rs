//! Partitions, their leaders and what becomes of sandboxes when leaders die, hang or are
//! replaced: over real connections and a real store, with workers that only pretend.

mod across;
mod node;
mod pace;
mod worker;

use hearth_cluster::{NODE_TTL, Router, View, Workers, partition_of};
use hearth_metastore::RedbStore;
use hearth_services::assignment::{AcquireError, Acquired, Assignment, Disposition};
use hearth_services::cluster::LeaderRecord;
use hearth_services::keys;
use hearth_services::metastore::{MetaStore, Txn};
use hearth_services::worker::{
    Doing, InitFailure, Invocation, InvokeError, Invoked, WorkerDirectory,
};
use hearth_types::testing::version_of;
use hearth_types::*;
use node::{Node, PARTITIONS, front, serve};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use worker::FakeWorker;

/// Longest wait for what has to happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long leaders have to stay what they are, to be taken for settled: nodes look whether
/// another is due every 2 s.
const SETTLED: Duration = Duration::from_secs(4);
const POLL: Duration = Duration::from_millis(5);

struct Fixture {
    store: Arc<dyn MetaStore>,
    nodes: Vec<Node>,
    workers: Vec<Arc<FakeWorker>>,
    router: Router,
    directory: Workers,
    leaders: View<LeaderRecord>,
    _keep: Box<dyn std::any::Any>,
}

impl Fixture {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = RedbStore::open(&dir.path().join("meta")).unwrap();
        Self::start_on(Arc::new(store), Box::new(dir)).await
    }

    /// On another store, and what has to live as long as this.
    async fn start_on(store: Arc<dyn MetaStore>, keep: Box<dyn std::any::Any>) -> Self {
        let workers = vec![FakeWorker::new(), FakeWorker::new()];
        for (n, worker) in workers.iter().enumerate() {
            serve(&store, &format!("w{n}"), worker).await;
        }
        let mut nodes = Vec::new();
        for (n, zone) in ["a", "b", "c"].into_iter().enumerate() {
            nodes.push(Node::start(&store, &format!("n{n}"), zone).await);
        }
        let (router, directory, leaders) = front(&store).await;
        let fixture = Self { store, nodes, workers, router, directory, leaders, _keep: keep };
        for partition in 0..PARTITIONS {
            fixture.led(Partition(partition)).await;
        }
        fixture
    }

    /// Waits until a partition is served; by whom.
    async fn led(&self, partition: Partition) -> LeaderRecord {
        let mut leaders = self.leaders.subscribe();
        let key = keys::leader(partition);
        let is_led = |now: &hearth_cluster::Records<LeaderRecord>| {
            now.get(&key).is_some_and(|seen| seen.record.epoch.is_some())
        };
        let led = timeout(PATIENCE, leaders.wait_for(is_led)).await.expect("led in time");
        led.unwrap()[&key].record.clone()
    }

    /// Waits until each partition is led by the node that ranks first for it: whoever
    /// started first had all.
    async fn settled(&self) {
        let (mut last, mut since) = (self.leaders.now(), Instant::now());
        eventually("leaders are spread over nodes", async || {
            let now = self.leaders.now();
            if now != last {
                (last, since) = (now, Instant::now());
            }
            let nodes: BTreeSet<_> = last.values().map(|seen| &seen.record.node).collect();
            nodes.len() > 1 && since.elapsed() > SETTLED
        })
        .await;
    }

    /// The node that leads the function's partition, out of the fixture.
    async fn leader_of(&mut self, version: &FunctionVersion) -> Node {
        let leader = self.led(partition(version)).await;
        let at = self.nodes.iter().position(|node| node.name == leader.node).unwrap();
        self.nodes.remove(at)
    }

    async fn acquire(&self, version: &Arc<FunctionVersion>) -> Result<Acquired, AcquireError> {
        self.router.acquire(version, StartKind::Warm).await
    }

    async fn invoke(
        &self,
        acquired: &Acquired,
        version: &FunctionVersion,
        time: Duration,
    ) -> Result<Invoked, InvokeError> {
        let worker = self.directory.worker(&acquired.worker).ok_or(InvokeError::Gone)?;
        worker.invoke(acquired.sandbox, event(acquired, version, time)).await
    }

    /// An event from its acquire to its release, as a front end does it.
    async fn run(&self, version: &Arc<FunctionVersion>, time: Duration) -> SandboxId {
        loop {
            let acquired = self.acquire(version).await.unwrap();
            let invoked = self.invoke(&acquired, version, time).await;
            let disposition = match &invoked {
                Ok(_) => Disposition::Reusable,
                Err(_) => Disposition::Discard,
            };
            self.router.release(acquired.sandbox, acquired.hold, disposition).await;
            match invoked {
                Ok(_) => return acquired.sandbox,
                Err(InvokeError::Gone) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    fn held(&self) -> Vec<SandboxId> {
        self.workers.iter().flat_map(|worker| worker.held()).map(|held| held.id).collect()
    }
}

fn event(acquired: &Acquired, version: &FunctionVersion, time: Duration) -> Invocation {
    Invocation {
        hold: acquired.hold,
        request_id: RequestId::new(),
        // The fake checks that it is the sandbox's.
        invoked_arn: version.key.function.to_string(),
        trace_id: String::new(),
        client_context: None,
        payload: "{}".into(),
        timeout: time,
        started: None,
        log_tail: false,
    }
}

fn partition(version: &FunctionVersion) -> Partition {
    partition_of(&version.key.account, &version.key.function, PARTITIONS)
}

/// A version as control writes it: what has no record counts as deleted.
async fn function(f: &Fixture, name: &str) -> Arc<FunctionVersion> {
    let version = version(name);
    let VersionKey { account, function, version: number, .. } = &version.key;
    let key = keys::version(account, function, *number);
    f.store.transact(Txn::new().put(key, keys::encode(&*version))).await.unwrap();
    version
}

fn version(name: &str) -> Arc<FunctionVersion> {
    Arc::new(version_of("111111111111", name, Version::Latest, RevisionId::new()))
}

async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_warm_path_writes_nothing() {
    let f = Fixture::start().await;
    let version = function(&f, "f").await;
    let sandbox = f.run(&version, Duration::ZERO).await;
    // What is known of its start may still be on its way.
    let (mut last, mut since) = (0, Instant::now());
    eventually("the journal is quiet", async || {
        let (_, now) = f.store.list(keys::JOURNALS, None, 0).await.unwrap();
        if std::mem::replace(&mut last, now) != now {
            since = Instant::now();
        }
        since.elapsed() > Duration::from_secs(1)
    })
    .await;
    let journal = async || {
        let (entries, _) = f.store.list(keys::JOURNALS, None, 1000).await.unwrap();
        entries.into_iter().map(|(key, found)| (key, found.revision)).collect::<BTreeMap<_, _>>()
    };
    let before = journal().await;
    assert!(!before.is_empty());
    for _ in 0..50 {
        assert_eq!(f.run(&version, Duration::ZERO).await, sandbox);
    }
    assert_eq!(journal().await, before);
    assert_eq!(f.held(), [sandbox]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_is_replaced_at_once_and_loses_no_sandbox() {
    let mut f = Fixture::start().await;
    let version = function(&f, "f").await;
    let (first, second) = (f.acquire(&version).await.unwrap(), f.acquire(&version).await.unwrap());
    let idle = second.sandbox;
    f.invoke(&second, &version, Duration::ZERO).await.unwrap();
    f.router.release(idle, second.hold, Disposition::Reusable).await;
    let leader = f.leader_of(&version).await;
    let runs = f.invoke(&first, &version, Duration::from_secs(12));
    let fails_over = async {
        // Once it runs.
        eventually("the event runs", async || {
            f.workers.iter().flat_map(|w| w.held()).any(|held| held.doing == Doing::Busy)
        })
        .await;
        leader.kill();
        let killed = Instant::now();
        let again = f.acquire(&version).await.unwrap();
        (killed.elapsed(), again)
    };
    let (ran, (took, again)) = tokio::join!(runs, fails_over);
    ran.unwrap();
    println!("the next acquire took {took:?}");
    // Else it was its lease that told.
    assert!(took < NODE_TTL, "{took:?}");
    assert_eq!(again.sandbox, idle, "it was idle and is not lost");
    assert!(again.hold.reign.epoch > first.hold.reign.epoch);
    // The new leader takes the end of what another began.
    f.router.release(first.sandbox, first.hold, Disposition::Reusable).await;
    assert_eq!(f.acquire(&version).await.unwrap().sandbox, first.sandbox);
    assert_eq!(f.held().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_hangs_is_replaced_and_does_no_harm_when_it_wakes() {
    let mut f = Fixture::start().await;
    let version = function(&f, "f").await;
    let idle = f.run(&version, Duration::ZERO).await;
    let before = f.led(partition(&version)).await;
    let leader = f.leader_of(&version).await;
    let frozen = Duration::from_secs(16);
    leader.freeze(frozen);
    let froze = Instant::now();
    let acquired = f.acquire(&version).await.unwrap();
    let took = froze.elapsed();
    println!("the next acquire took {took:?}");
    assert!(took < 3 * NODE_TTL, "{took:?}");
    assert_eq!(acquired.sandbox, idle);
    assert!(acquired.hold.reign.epoch > before.epoch.unwrap());
    // It wakes, has orders of its old time, and is heeded by nobody.
    tokio::time::sleep_until(froze + frozen).await;
    f.invoke(&acquired, &version, Duration::from_millis(10)).await.unwrap();
    f.router.release(idle, acquired.hold, Disposition::Reusable).await;
    for _ in 0..20 {
        assert_eq!(f.run(&version, Duration::from_millis(1)).await, idle);
    }
    assert_eq!(f.held(), [idle]);
    drop(leader);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_hands_over_and_a_new_node_gets_its_share() {
    let mut f = Fixture::start().await;
    let mut functions = Vec::new();
    for n in 0..8 {
        functions.push(function(&f, &format!("f{n}")).await);
    }
    let mut sandboxes = Vec::new();
    for version in &functions {
        sandboxes.push(f.run(version, Duration::ZERO).await);
    }
    // One that started first would get back nothing, unless it ranks first for something.
    f.settled().await;
    let leader = f.leader_of(&functions[0]).await;
    let name = leader.name.clone();
    leader.stop().await;
    for (version, sandbox) in functions.iter().zip(&sandboxes) {
        assert_eq!(f.run(version, Duration::ZERO).await, *sandbox);
        assert_ne!(f.led(partition(version)).await.node, name);
    }
    // Back again, it gets what is its own.
    f.nodes.push(Node::start(&f.store, name.as_str(), "a").await);
    eventually("it leads", async || {
        f.leaders.now().values().any(|seen| seen.record.node == name && seen.record.epoch.is_some())
    })
    .await;
    for (version, sandbox) in functions.iter().zip(&sandboxes) {
        assert_eq!(f.run(version, Duration::ZERO).await, *sandbox);
    }
    assert_eq!(f.held().len(), functions.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_front_end_that_died_held_serves_again() {
    let f = Fixture::start().await;
    let version = function(&f, "f").await;
    let acquired = f.acquire(&version).await.unwrap();
    f.invoke(&acquired, &version, Duration::ZERO).await.unwrap();
    // Nobody releases it.
    eventually("it is idle again", async || {
        let listed = f.router.list(&version.key.account).await;
        listed.iter().any(|s| s.state == hearth_services::assignment::SandboxState::Idle)
    })
    .await;
    assert_eq!(f.run(&version, Duration::ZERO).await, acquired.sandbox);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_lost_is_forgotten() {
    let f = Fixture::start().await;
    let version = function(&f, "f").await;
    let lost = f.run(&version, Duration::ZERO).await;
    let worker = f.workers.iter().find(|w| w.held().iter().any(|h| h.id == lost)).unwrap();
    worker.lose(lost);
    eventually("nobody lists it", async || f.router.list(&version.key.account).await.is_empty())
        .await;
    assert_ne!(f.run(&version, Duration::ZERO).await, lost);
    assert_eq!(worker.refused.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_fails_with_many_words_is_heard_out_once() {
    let f = Fixture::start().await;
    let idle = function(&f, "f").await;
    let kept = f.run(&idle, Duration::ZERO).await;
    let failing = function(&f, worker::FAILS).await;
    match f.acquire(&failing).await {
        Err(AcquireError::InitFailed { failure: InitFailure::Reported(failure), .. }) => {
            assert_eq!(failure.body.len(), INVOKE_RESPONSE_BYTES_MAX);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(f.workers.iter().map(|w| w.failed.load(Ordering::Relaxed)).sum::<usize>(), 1);
    assert_eq!(f.held(), [kept], "no room was made for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_does_not_decode_ends_its_own_sandboxes_and_no_reign() {
    let f = Fixture::start().await;
    let damaged = function(&f, "f").await;
    let names = (0..).map(|n| format!("g{n}"));
    let near = |name: &String| partition(&version(name)) == partition(&damaged);
    let neighbour = function(&f, &names.into_iter().find(near).unwrap()).await;
    let lost = f.run(&damaged, Duration::ZERO).await;
    let kept = f.run(&neighbour, Duration::ZERO).await;
    let before = f.led(partition(&damaged)).await;
    let VersionKey { account, function: name, version: number, .. } = &damaged.key;
    let key = keys::version(account, name, *number);
    f.store.transact(Txn::new().put(key, b"{".to_vec())).await.unwrap();
    eventually("the other is left alone", async || f.held() == [kept]).await;
    // Mended, it is served anew.
    let mended = function(&f, "f").await;
    assert_ne!(f.run(&mended, Duration::ZERO).await, lost);
    assert_eq!(f.run(&neighbour, Duration::ZERO).await, kept);
    assert_eq!(f.led(partition(&damaged)).await, before);
}
