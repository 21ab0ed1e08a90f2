//! Three members: one dies, hangs, most die, and come back; under writers and a watch.

mod support;

use hearth_metastore_etcd::EtcdStore;
use hearth_services::metastore::{MetaStore, MetaStoreError, Revision, Txn, TxnOutcome, Watch};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use support::Cluster;
use tokio::time::{Instant, timeout};

const WRITERS: usize = 4;
/// Commits of each writer before and after what a test breaks.
const COMMITS: u64 = 50;
/// More than an election, a member that hangs, and a busy machine take together.
const RECOVERY_MAX: Duration = Duration::from_secs(20);
/// So that giving up takes no longer in a test than it has to.
const PATIENCE: Duration = Duration::from_secs(4);

/// Writers whose every commit must happen once.
struct Writers<'a> {
    store: &'a EtcdStore,
    committed: AtomicU64,
    stop: AtomicBool,
}

impl<'a> Writers<'a> {
    fn new(store: &'a EtcdStore) -> Self {
        Self { store, committed: AtomicU64::new(0), stop: AtomicBool::new(false) }
    }

    /// Each creates one key after the other, until it is told to stop: which it did
    /// at which revision, and which it does not know of.
    async fn write(&self) -> (BTreeMap<String, Revision>, Vec<String>) {
        let write = |writer: usize| async move {
            let (mut done, mut unknown) = (BTreeMap::new(), Vec::new());
            let mut i = 0;
            while !self.stop.load(Ordering::SeqCst) {
                let key = format!("k/{writer}/{i}");
                // A transaction that was done and is done again conflicts.
                match self.store.transact(Txn::new().absent(&key).put(&key, "1")).await {
                    Ok(TxnOutcome::Committed(revision)) => {
                        done.insert(key, revision);
                        self.committed.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(TxnOutcome::Conflict) => panic!("{key} was done twice"),
                    Err(MetaStoreError::OutcomeUnknown(_)) => unknown.push(key),
                    Err(MetaStoreError::Engine(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
                i += 1;
            }
            (done, unknown)
        };
        let all: [_; WRITERS] = std::array::from_fn(write);
        let [a, b, c, d] = all;
        let (a, b, c, d) = tokio::join!(a, b, c, d);
        let mut sum = (BTreeMap::new(), Vec::new());
        for (done, unknown) in [a, b, c, d] {
            sum.0.extend(done);
            sum.1.extend(unknown);
        }
        sum
    }

    /// How long until that many more are committed.
    async fn progress(&self, commits: u64) -> Duration {
        let (started, wanted) = (Instant::now(), self.committed.load(Ordering::SeqCst) + commits);
        let mut poll = tokio::time::interval(Duration::from_millis(5));
        while self.committed.load(Ordering::SeqCst) < wanted {
            assert!(started.elapsed() < RECOVERY_MAX, "nothing is committed any more");
            poll.tick().await;
        }
        started.elapsed()
    }
}

/// The watch has seen exactly what was done, each once and in order.
async fn assert_seen(
    store: &EtcdStore,
    watch: &mut Box<dyn Watch>,
    (done, unknown): (BTreeMap<String, Revision>, Vec<String>),
) {
    let TxnOutcome::Committed(end) = store.transact(Txn::new().put("k/end", "1")).await.unwrap()
    else {
        panic!("a put conflicts with nothing");
    };
    let (mut seen, mut newest) = (BTreeMap::new(), 0);
    while newest < end {
        let events = timeout(RECOVERY_MAX, watch.next()).await.expect("the watch goes on").unwrap();
        for event in events {
            assert!(event.revision > newest, "one key to a revision, in order");
            newest = event.revision;
            assert!(
                seen.insert(event.key.clone(), event.revision).is_none(),
                "{} twice",
                event.key
            );
        }
    }
    assert_eq!(seen.remove("k/end"), Some(end));
    println!("{} commits, {} of unknown outcome", done.len(), unknown.len());
    for (key, revision) in &done {
        assert_eq!(seen.remove(key), Some(*revision), "{key}");
    }
    for key in seen.keys() {
        assert!(unknown.contains(key), "{key} happened, and was said not to have");
    }
}

async fn watched(store: &EtcdStore) -> Box<dyn Watch> {
    let at = store.list("", None, 0).await.unwrap().1;
    store.watch("k/", at).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_die_and_hang_and_nothing_is_lost_or_doubled() {
    let mut cluster = Cluster::start(3).await;
    let store = cluster.store();
    let mut watch = watched(&store).await;
    let writers = Writers::new(&store);
    let breaking = async {
        writers.progress(COMMITS).await;
        let leader = cluster.leader().await;
        cluster.nodes[leader].kill();
        println!("the leader dies: {:?} to the next commits", writers.progress(1).await);
        writers.progress(COMMITS).await;
        cluster.run(leader);
        writers.progress(COMMITS).await;

        let leader = cluster.leader().await;
        cluster.nodes[leader].signal(Signal::SIGSTOP);
        // Those under way at that time may still be answered.
        println!("it hangs: {:?} to the next commits", writers.progress(2 * WRITERS as u64).await);
        writers.progress(COMMITS).await;
        cluster.nodes[leader].signal(Signal::SIGCONT);
        writers.progress(COMMITS).await;
        writers.stop.store(true, Ordering::SeqCst);
    };
    let (written, ()) = tokio::join!(writers.write(), breaking);
    assert!(written.1.is_empty(), "of {:?} nobody knows", written.1);
    assert_seen(&store, &mut watch, written).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_leaves_a_member_that_says_nothing() {
    let cluster = Cluster::start(3).await;
    // So many that some watch the member that hangs.
    let stores = cluster.stores(12);
    let mut watches = Vec::new();
    for store in &stores {
        watches.push(watched(store).await);
    }
    let leader = cluster.leader().await;
    let hangs = (leader + 1) % 3;
    cluster.nodes[hangs].signal(Signal::SIGSTOP);
    let hung = Instant::now();
    stores[0].transact(Txn::new().put("k/1", "1")).await.unwrap();
    for watch in &mut watches {
        let events = timeout(RECOVERY_MAX, watch.next()).await.expect("in time").unwrap();
        assert_eq!(events[0].key, "k/1");
    }
    let took = hung.elapsed();
    println!("a member hangs: its watches go on after {took:?}");
    cluster.nodes[hangs].signal(Signal::SIGCONT);
    // Sooner than its pings would tell.
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn most_members_die_and_come_back() {
    let mut cluster = Cluster::start(3).await;
    let store = cluster.patient(PATIENCE);
    let lease = store.grant_lease(Duration::from_secs(3600)).await.unwrap().id;
    let leased = Txn::new().put_leased("leased", "1", lease);
    assert!(matches!(store.transact(leased).await.unwrap(), TxnOutcome::Committed(_)));
    let mut watch = watched(&store).await;
    let writers = Writers::new(&store);
    let breaking = async {
        writers.progress(COMMITS).await;
        cluster.nodes[0].kill();
        cluster.nodes[1].kill();
        let started = Instant::now();
        let read = store.get("k/0/0").await;
        assert!(matches!(read, Err(MetaStoreError::Engine(_))), "{read:?}");
        let kept = store.keep_lease(lease).await;
        assert!(matches!(kept, Err(MetaStoreError::Engine(_))), "{kept:?}");
        assert!(started.elapsed() < 4 * PATIENCE, "it gave up after {:?}", started.elapsed());
        cluster.run(0);
        cluster.run(1);
        println!("most are back: {:?} to the next commits", writers.progress(1).await);
        writers.progress(COMMITS).await;
        writers.stop.store(true, Ordering::SeqCst);
    };
    let (written, ()) = tokio::join!(writers.write(), breaking);
    assert_seen(&store, &mut watch, written).await;
    store.keep_lease(lease).await.unwrap();
    assert!(store.get("leased").await.unwrap().is_some(), "its holder was not to blame");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_alone_restarts_again_and_again() {
    const RESTARTS: usize = 4;
    let mut cluster = Cluster::start(1).await;
    let store = cluster.store();
    let mut watch = watched(&store).await;
    let writers = Writers::new(&store);
    let breaking = async {
        for _ in 0..RESTARTS {
            writers.progress(COMMITS).await;
            cluster.nodes[0].kill();
            cluster.run(0);
        }
        println!("it is back: {:?} to the next commits", writers.progress(1).await);
        writers.progress(COMMITS).await;
        writers.stop.store(true, Ordering::SeqCst);
    };
    let (written, ()) = tokio::join!(writers.write(), breaking);
    assert!(written.1.is_empty(), "of {:?} nobody knows", written.1);
    assert_seen(&store, &mut watch, written).await;
}

#[tokio::test]
async fn nobody_there_is_said_in_time_and_in_words() {
    let mut cluster = Cluster::start(1).await;
    cluster.nodes[0].kill();
    let store = cluster.patient(Duration::from_millis(200));
    let error = store.transact(Txn::new().put("a", "1")).await.unwrap_err();
    let MetaStoreError::Engine(source) = &error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "no member of etcd did it within 200ms");
    assert!(store.watch("", 0).await.is_err());
}
