//! Questions that are gathered: each has its own answer, and many go in few calls.

mod support;

use hearth_rpc::{Channel, Gather, GatheredError, Method, Router};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Cluster, Gate, PATIENCE, Relay};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

const DOUBLE: Method = Method::new("test.Gathered/Double");
const ASKERS: u64 = 200;

/// Doubles numbers once it may; counts its batches.
fn doubles(gate: &Gate, batches: &Arc<AtomicUsize>) -> Router {
    let (gate, batches) = (gate.clone(), batches.clone());
    Router::new().gathered(DOUBLE, move |_, numbers: Vec<u64>| {
        batches.fetch_add(1, Ordering::SeqCst);
        gate.pass();
        numbers.into_iter().map(|number| number * 2).collect::<Vec<_>>()
    })
}

#[tokio::test]
async fn what_waits_goes_together_and_each_has_its_own_answer() {
    let (gate, batches) = (Gate::default(), Arc::default());
    let (_server, channel) = Cluster::new().pair(doubles(&gate, &batches));
    let gather = Gather::<u64, u64>::new(channel, DOUBLE, PATIENCE);
    let mut asking = JoinSet::new();
    for number in 0..ASKERS {
        let gather = gather.clone();
        asking.spawn(async move { (number, gather.ask(number).await.unwrap()) });
    }
    gate.open(ASKERS as usize);
    while let Some(asked) = asking.join_next().await {
        let (number, answer) = asked.unwrap();
        assert_eq!(answer, number * 2);
    }
    let batches = batches.load(Ordering::SeqCst);
    assert!(batches <= 10, "{ASKERS} questions went in {batches} batches");
}

#[tokio::test]
async fn one_alone_waits_for_nobody() {
    let gate = Gate::default();
    gate.open(1);
    let (_server, channel) = Cluster::new().pair(doubles(&gate, &Arc::default()));
    let gather = Gather::<u64, u64>::new(channel, DOUBLE, PATIENCE);
    assert_eq!(timeout(PATIENCE, gather.ask(21)).await.unwrap().unwrap(), 42);
}

#[tokio::test]
async fn whoever_asks_a_peer_that_dies_is_told_and_may_ask_the_next() {
    let cluster = Cluster::new();
    let (gate, batches) = (Gate::default(), Arc::default());
    let (server, _) = cluster.pair(doubles(&gate, &batches));
    let relay = Relay::start(server.address).await;
    let channel = Channel::new(&relay.address.to_string(), None, cluster.security("client"));
    let gather = Gather::<u64, u64>::new(channel, DOUBLE, PATIENCE);
    let mut asking = JoinSet::new();
    for number in 0..ASKERS {
        let gather = gather.clone();
        asking.spawn(async move { gather.ask(number).await });
    }
    while batches.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    relay.cut();
    for answer in asking.join_all().await {
        assert!(matches!(answer, Err(GatheredError::Call(_))), "{answer:?}");
    }
    gate.open(100);
    assert_eq!(gather.ask(4).await.unwrap(), 8);
}

#[tokio::test]
async fn nobody_stands_in_line_before_a_peer_that_hangs() {
    const CALL_MAX: Duration = Duration::from_secs(1);
    let (_server, channel) = Cluster::new().pair(doubles(&Gate::default(), &Arc::default()));
    let gather = Gather::<u64, u64>::new(channel, DOUBLE, CALL_MAX);
    let began = Instant::now();
    let mut asking = JoinSet::new();
    // Of so many batches that each after the other would take eight times as long.
    for number in 0..hearth_rpc::CHANNEL_CALLS_MAX as u64 {
        let gather = gather.clone();
        asking.spawn(async move { gather.ask(number).await });
    }
    for answer in asking.join_all().await {
        assert!(matches!(answer, Err(GatheredError::Call(_))), "{answer:?}");
    }
    assert!(began.elapsed() < 4 * CALL_MAX, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_peer_that_answers_too_little_is_not_believed() {
    let router = Router::new().gathered(DOUBLE, |_, _: Vec<u64>| Vec::<u64>::new());
    let (_server, channel) = Cluster::new().pair(router);
    let gather = Gather::<u64, u64>::new(channel, DOUBLE, PATIENCE);
    let answer = gather.ask(1).await;
    assert!(
        matches!(answer, Err(GatheredError::Uneven { answers: 0, questions: 1 })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn more_than_may_wait_are_told_at_once() {
    let gate = Gate::default();
    let (_server, channel) = Cluster::new().pair(doubles(&gate, &Arc::default()));
    let gather = Gather::<u64, u64>::new(channel, DOUBLE, PATIENCE);
    let mut asking = JoinSet::new();
    // Those that are under way, those that may wait, and more.
    for number in 0..2 * hearth_rpc::CHANNEL_CALLS_MAX as u64 {
        let gather = gather.clone();
        asking.spawn(async move { gather.ask(number).await });
    }
    let first = timeout(PATIENCE, asking.join_next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(first, Err(GatheredError::TooMany)), "{first:?}");
    gate.open(asking.len());
    while let Some(asked) = asking.join_next().await {
        assert!(matches!(asked.unwrap(), Ok(_) | Err(GatheredError::TooMany)));
    }
}
