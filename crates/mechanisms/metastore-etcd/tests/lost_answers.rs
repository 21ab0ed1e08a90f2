//! What a network does between a transaction and its answer: it is done once all the
//! same, or the caller is told that nobody knows.

mod support;

use hearth_metastore_etcd::{EtcdOptions, EtcdStore};
use hearth_services::metastore::{MetaStore, MetaStoreError, Txn, TxnOutcome};
use std::time::Duration;
use support::Cluster;
use support::proxy::{Mode, Proxy};

const ROUNDS: usize = 10;
/// Less than the store's own, so that a test of giving up is short.
const PATIENCE: Duration = Duration::from_secs(3);

/// A member, a store that reaches it through a network to be broken, and one that
/// reaches it straight; both in one namespace.
struct Fixture {
    cluster: Cluster,
    network: Proxy,
    broken: EtcdStore,
    straight: EtcdStore,
}

impl Fixture {
    async fn new() -> Self {
        let cluster = Cluster::start(1).await;
        let network = Proxy::start(cluster.nodes[0].socket()).await;
        let open = |addresses: Vec<String>| {
            let options = EtcdOptions { patience: PATIENCE, ..EtcdOptions::new(addresses) };
            EtcdStore::open(&options).unwrap()
        };
        let broken = open(network.addresses());
        let straight = open(cluster.addresses());
        // Its session's lease is granted, so the next call is the transaction.
        commit(&broken, Txn::new().put("warm", "1")).await;
        Self { cluster, network, broken, straight }
    }

    /// How often `key` was put.
    async fn puts_of(&self, key: &str) -> usize {
        let mut watch = self.straight.watch("", 0).await.unwrap();
        let end = commit(&self.straight, Txn::new().put("end", "1")).await;
        let mut puts = 0;
        loop {
            let events = watch.next().await.unwrap();
            puts += events.iter().filter(|event| event.key == key).count();
            if events[0].revision == end {
                return puts;
            }
        }
    }
}

async fn commit(store: &EtcdStore, txn: Txn) -> u64 {
    match store.transact(txn).await.unwrap() {
        TxnOutcome::Committed(revision) => revision,
        TxnOutcome::Conflict => panic!("an unexpected conflict"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_whose_answer_is_lost_is_not_done_again() {
    let f = Fixture::new().await;
    for round in 0..ROUNDS {
        let key = format!("k/{round}");
        f.network.set(Mode::LoseAnswer);
        // Were it done again, it would conflict with itself.
        let revision = commit(&f.broken, Txn::new().absent(&key).put(&key, "1")).await;
        assert_eq!(f.network.mode(), Mode::Pass, "an answer was lost");
        assert_eq!(f.straight.get(&key).await.unwrap().unwrap().revision, revision);
        assert_eq!(f.puts_of(&key).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_arrives_late_does_nothing() {
    let f = Fixture::new().await;
    f.network.set(Mode::HoldCall);
    let first = commit(&f.broken, Txn::new().put("a", "late")).await;
    let second = commit(&f.broken, Txn::new().unchanged("a", first).put("a", "newer")).await;
    f.network.release().await;
    let found = f.straight.get("a").await.unwrap().unwrap();
    assert_eq!((&found.value[..], found.revision), (&b"newer"[..], second));
    assert_eq!(f.puts_of("a").await, 2, "the late one would be a third");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_tell_is_said() {
    let f = Fixture::new().await;
    f.network.set(Mode::LoseAnswerAndGo);
    let unknown = f.broken.transact(Txn::new().put("a", "1")).await;
    assert!(matches!(unknown, Err(MetaStoreError::OutcomeUnknown(_))), "{unknown:?}");
    let found = f.straight.get("a").await.unwrap();
    assert_eq!(&found.expect("it had happened").value[..], b"1");
    assert!(matches!(f.broken.get("a").await, Err(MetaStoreError::Engine(_))));
    f.network.set(Mode::Pass);
    assert!(f.broken.get("a").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_lost_its_member_goes_on_or_says_what_it_missed() {
    let f = Fixture::new().await;
    let start = f.straight.list("", None, 0).await.unwrap().1;
    let mut watch = f.broken.watch("k/", start).await.unwrap();
    let first = commit(&f.straight, Txn::new().put("k/a", "1")).await;
    assert_eq!(watch.next().await.unwrap()[0].revision, first);

    f.network.set(Mode::Down);
    let missed = commit(&f.straight, Txn::new().put("k/b", "1").delete("k/a")).await;
    f.network.set(Mode::Pass);
    let events = watch.next().await.unwrap();
    assert!(events.iter().all(|event| event.revision == missed));
    assert_eq!(events.len(), 2);

    f.network.set(Mode::Down);
    commit(&f.straight, Txn::new().delete("k/b")).await;
    let last = commit(&f.straight, Txn::new().put("elsewhere", "1")).await;
    support::compact(&f.cluster, &f.straight).await;
    f.network.set(Mode::Pass);
    let told = watch.next().await;
    assert!(
        matches!(told, Err(MetaStoreError::Compacted { oldest }) if oldest >= last),
        "{told:?}"
    );
    assert!(watch.next().await.is_err(), "the error ends it");
    let (entries, at) = f.broken.list("k/", None, 10).await.unwrap();
    assert!(entries.is_empty());
    let mut watch = f.broken.watch("k/", at).await.unwrap();
    let new = commit(&f.straight, Txn::new().put("k/c", "1")).await;
    assert_eq!(watch.next().await.unwrap()[0].revision, new);
}
