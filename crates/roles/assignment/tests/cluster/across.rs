//! What leaders of different nodes do together, and what no worker can do to them.

use super::node::ACCOUNT_MAX;
use super::{Fixture, event, eventually, function, partition};
use futures_util::future::join_all;
use hearth_services::assignment::{AcquireError, Acquired, Assignment, Disposition};
use hearth_services::cluster::StandingRecord;
use hearth_services::keys;
use hearth_services::metastore::Txn;
use hearth_services::worker::{Standing, WorkerDirectory};
use hearth_types::{FunctionVersion, RevisionId, SandboxId, VersionKey};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Two functions whose leaders are different nodes, and stay so.
async fn apart(f: &Fixture) -> [Arc<FunctionVersion>; 2] {
    f.settled().await;
    let first = function(f, "f0").await;
    let leader = f.led(partition(&first)).await.node;
    for n in 1.. {
        let second = function(f, &format!("f{n}")).await;
        if f.led(partition(&second)).await.node != leader {
            return [first, second];
        }
    }
    unreachable!("there are numbers enough")
}

async fn give_back(f: &Fixture, acquired: &Acquired) {
    f.router.release(acquired.sandbox, acquired.hold, Disposition::Reusable).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_idles_in_one_partition_makes_room_for_another() {
    let f = Fixture::start().await;
    f.workers.iter().for_each(|worker| worker.set_room(2));
    let [one, other] = apart(&f).await;
    let mut acquired = Vec::new();
    for _ in 0..4 {
        acquired.push(f.acquire(&one).await.unwrap());
    }
    assert!(matches!(f.acquire(&other).await, Err(AcquireError::NoCapacity)), "all run something");
    for sandbox in &acquired[1..] {
        give_back(&f, sandbox).await;
    }
    let made = f.acquire(&other).await.unwrap();
    let held = f.held();
    let gone: Vec<SandboxId> =
        acquired.iter().map(|a| a.sandbox).filter(|id| !held.contains(id)).collect();
    assert_eq!(gone, [acquired[1].sandbox], "the one that was idle for longest");
    assert!(held.contains(&made.sandbox));
    // Nobody counts on what is gone.
    let again = [f.acquire(&one).await.unwrap(), f.acquire(&one).await.unwrap()];
    for warm in &again {
        assert!(acquired[2..].iter().any(|a| a.sandbox == warm.sandbox));
    }
    assert!(matches!(f.acquire(&one).await, Err(AcquireError::NoCapacity)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_room_is_made_where_nothing_new_is_taken() {
    let f = Fixture::start().await;
    f.workers.iter().for_each(|worker| worker.set_room(1));
    let [one, other] = [function(&f, "f0").await, function(&f, "f1").await];
    let acquired = [f.acquire(&one).await.unwrap(), f.acquire(&one).await.unwrap()];
    let [first, second] = &acquired;
    let cordoned = StandingRecord { standing: Standing::Cordoned, leaves: false };
    let put = Txn::new().put(keys::worker(&first.worker), keys::encode(&cordoned));
    f.store.transact(put).await.unwrap();
    eventually("it is known", async || f.directory.standing(&first.worker) == Standing::Cordoned)
        .await;
    // By the leader too.
    tokio::time::sleep(Duration::from_millis(200)).await;
    give_back(&f, first).await;
    give_back(&f, second).await;
    let made = f.acquire(&other).await.unwrap();
    let held = f.held();
    assert!(held.contains(&first.sandbox), "though it was idle for longest");
    assert!(held.contains(&made.sandbox) && !held.contains(&second.sandbox));
}

/// Nobody has to wait for another's room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_lack_room_at_once_each_make_some() {
    const ALL: usize = 24;
    let f = Fixture::start().await;
    f.workers.iter().for_each(|worker| worker.set_room(ALL / 2));
    let [one, other] = apart(&f).await;
    let mut acquired = Vec::new();
    for _ in 0..ALL {
        acquired.push(f.acquire(&one).await.unwrap());
    }
    for sandbox in &acquired {
        give_back(&f, sandbox).await;
    }
    // At another node's leader, and at the one whose sandboxes go.
    let own = FunctionVersion::clone(&one);
    let own = Arc::new(FunctionVersion {
        key: VersionKey { revision: RevisionId::new(), ..own.key },
        ..own
    });
    let at_once = (0..ALL).map(|n| if n % 2 == 0 { &other } else { &own });
    let made = join_all(at_once.map(|version| f.acquire(version))).await;
    for made in made {
        assert!(f.held().contains(&made.unwrap().sandbox));
    }
    assert_eq!(f.held().len(), ALL);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_has_one_limit_whoever_leads() {
    let f = Fixture::start().await;
    let [one, other] = apart(&f).await;
    let mut running = Vec::new();
    let mut events = JoinSet::new();
    for version in [&one, &other].into_iter().cycle().take(ACCOUNT_MAX) {
        let acquired = f.acquire(version).await.unwrap();
        let worker = f.directory.worker(&acquired.worker).unwrap();
        // What runs no event is taken for idle after a while.
        let event = event(&acquired, version, Duration::from_secs(120));
        let sandbox = acquired.sandbox;
        events.spawn(async move { worker.invoke(sandbox, event).await });
        running.push(acquired);
    }
    // Leaders know of each other what was a moment ago.
    let is_refused = async |version| match f.acquire(version).await {
        Err(AcquireError::AccountConcurrency) => true,
        Err(error) => panic!("{error:?}"),
        Ok(beyond) => {
            give_back(&f, &beyond).await;
            false
        }
    };
    for version in [&one, &other] {
        eventually("one more is refused", async || {
            assert!(events.try_join_next().is_none(), "all events run");
            is_refused(version).await
        })
        .await;
    }
    // What ends at one leader can begin at another; its sandbox goes, for its event does not.
    let ended = &running[0];
    f.router.release(ended.sandbox, ended.hold, Disposition::Discard).await;
    eventually("one more begins", async || f.acquire(&other).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_makes_up_a_leader_deposes_nobody() {
    let f = Fixture::start().await;
    let version = function(&f, "f").await;
    let before = f.led(partition(&version)).await;
    let first = f.run(&version, Duration::ZERO).await;
    let (liar, honest) = match f.workers[0].held().is_empty() {
        true => (&f.workers[0], &f.workers[1]),
        false => (&f.workers[1], &f.workers[0]),
    };
    liar.lie(partition(&version));
    let refused = || liar.refused.load(std::sync::atomic::Ordering::Relaxed);
    // Each leader asks all workers, again and again.
    eventually("it lied three times", async || refused() >= 3).await;
    assert_eq!(f.led(partition(&version)).await, before);
    let warm = f.acquire(&version).await.unwrap();
    assert_eq!(warm.sandbox, first);
    // And new ones are made where orders are obeyed.
    for _ in 0..4 {
        let made = f.acquire(&version).await.unwrap().sandbox;
        assert!(honest.held().iter().any(|held| held.id == made));
    }
}
