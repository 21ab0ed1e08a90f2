//! How streams of gathered questions end: peers that stop, come back or freeze, and what is
//! refused.

mod support;

use hearth_rpc::{
    CallError, Channel, Gather, GatheredError, Lost, Method, NotSent, Refusal, Router, ServerLimits,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use support::{Cluster, Gate, PATIENCE, Relay, Server};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const ADD: Method = Method::new("test.Ends/Add").request_bytes_max(1000).answer_bytes_max(1000);
const ASKERS: usize = 100;

/// Adds one.
fn adds() -> Router {
    Router::new().gathered(ADD, |_, numbers: Vec<u64>| {
        numbers.into_iter().map(|number| number + 1).collect::<Vec<_>>()
    })
}

/// Makes texts of these lengths; what is over 10,000 is a panic.
fn texts() -> Router {
    Router::new().gathered(ADD, |_, lengths: Vec<usize>| {
        let text = |length| {
            assert!(length <= 10_000, "the panic of a test");
            "x".repeat(length)
        };
        lengths.into_iter().map(text).collect::<Vec<_>>()
    })
}

fn adding(channel: &Channel) -> Gather<u64, u64> {
    Gather::new(channel.clone(), ADD, PATIENCE)
}

/// What became of a question that has no answer.
fn failed<A: std::fmt::Debug>(answer: Result<A, GatheredError>) -> Arc<CallError> {
    match answer {
        Err(GatheredError::Call(error)) => error,
        answer => panic!("{answer:?}"),
    }
}

fn refusal<A: std::fmt::Debug>(answer: Result<A, GatheredError>) -> Refusal {
    match &*failed(answer) {
        CallError::Refused { source, .. } => source.clone(),
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_stream_is_opened_again_when_the_peer_is_back() {
    let cluster = Cluster::new();
    let (mut server, channel) = cluster.pair(adds());
    let gather = adding(&channel);
    for number in 0..3 {
        let link = channel.connect().await.unwrap();
        assert_eq!(gather.ask(number).await.unwrap(), number + 1);
        server.kill();
        timeout(PATIENCE, link.closed()).await.unwrap();
        server = Server::start_at(server.address, adds(), cluster.security("server"));
    }
    assert_eq!(gather.ask(7).await.unwrap(), 8);
}

#[tokio::test]
async fn an_open_stream_holds_no_server_up_that_stops() {
    // A busy machine may be late once, or twice; a stream that nobody ends takes a second.
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        let (mut server, channel) = Cluster::new().pair(adds());
        let gather = adding(&channel);
        assert_eq!(gather.ask(1).await.unwrap(), 2);
        let stopped = Instant::now();
        server.stop.cancel();
        server.ended().await;
        quickest = quickest.min(stopped.elapsed());
        let error = failed(gather.ask(1).await);
        assert!(matches!(*error, CallError::NotSent { .. }), "{error:?}");
    }
    println!("a server with an open stream stopped within {quickest:?}");
    assert!(quickest < Duration::from_millis(900), "{quickest:?}");
}

#[tokio::test]
async fn a_server_that_stops_answers_what_it_has_read_and_no_answer_is_lost() {
    let cluster = Cluster::new();
    let (gate, handled) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
    let (gate_, handled_) = (gate.clone(), handled.clone());
    let router = Router::new().gathered(ADD, move |_, numbers: Vec<u64>| {
        handled_.fetch_add(numbers.len(), Ordering::SeqCst);
        gate_.pass();
        numbers
    });
    let (mut server, channel) = cluster.pair(router);
    let gather = adding(&channel);
    let mut asking = JoinSet::new();
    for number in 0..ASKERS as u64 {
        let gather = gather.clone();
        asking.spawn(async move { gather.ask(number).await });
    }
    while handled.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    server.stop.cancel();
    gate.open(ASKERS);
    let answered = asking.join_all().await.into_iter().filter(|answer| match answer {
        Ok(_) => true,
        Err(GatheredError::Call(error)) => {
            assert!(matches!(**error, CallError::NotSent { .. }), "{error:?}");
            false
        }
        Err(error) => panic!("{error:?}"),
    });
    let answered = answered.count();
    server.ended().await;
    assert_eq!(answered, handled.load(Ordering::SeqCst));
    assert!(answered > 0);
    // Where the next is, what is asked goes to.
    let _next = Server::start_at(server.address, adds(), cluster.security("server"));
    assert_eq!(gather.ask(1).await.unwrap(), 2);
}

#[tokio::test]
async fn a_batch_is_lost_once_its_time_is_over() {
    const CALL_MAX: Duration = Duration::from_millis(200);
    let cluster = Cluster::new();
    let (server, _) = cluster.pair(adds());
    let relay = Relay::start(server.address).await;
    let channel = Channel::new(&relay.address.to_string(), None, cluster.security("client"));
    let gather = Gather::<u64, u64>::new(channel, ADD, CALL_MAX);
    while gather.ask(1).await.is_err() {}
    relay.frozen.cancel();
    let asked = Instant::now();
    let error = failed(gather.ask(1).await);
    let is_late = matches!(*error, CallError::Lost { source: Lost::Deadline, .. });
    assert!(is_late && asked.elapsed() >= CALL_MAX, "{error:?} after {:?}", asked.elapsed());
    // There is no other stream to be had from it.
    let error = failed(gather.ask(1).await);
    assert!(matches!(*error, CallError::NotSent { .. }), "{error:?}");
}

#[tokio::test]
async fn after_a_batch_that_was_late_there_is_another_stream() {
    let gate = Gate::default();
    let passes = gate.clone();
    let router = Router::new().gathered(ADD, move |_, numbers: Vec<u64>| {
        passes.pass();
        numbers
    });
    let (_server, channel) = Cluster::new().pair(router);
    channel.connect().await.unwrap();
    let gather = Gather::<u64, u64>::new(channel, ADD, Duration::from_millis(200));
    let error = failed(gather.ask(1).await);
    assert!(matches!(*error, CallError::Lost { source: Lost::Deadline, .. }), "{error:?}");
    gate.open(1000);
    let answered = async { while gather.ask(2).await.is_err() {} };
    timeout(PATIENCE, answered).await.expect("it is answered");
    assert_eq!(gather.ask(3).await.unwrap(), 3);
}

#[tokio::test]
async fn a_panic_ends_its_stream_and_nothing_else() {
    let (_server, channel) = Cluster::new().pair(texts());
    let link = channel.connect().await.unwrap();
    let gather = Gather::<usize, String>::new(channel, ADD, PATIENCE);
    for _ in 0..3 {
        assert_eq!(gather.ask(2).await.unwrap(), "xx");
        let error = failed(gather.ask(10_001).await);
        let panicked = matches!(*error, CallError::Lost { source: Lost::HandlerPanicked, .. });
        assert!(panicked, "{error:?}");
    }
    assert!(!link.is_closed());
}

#[tokio::test]
async fn what_is_too_large_or_makes_no_sense_is_told_by_whom() {
    let (_server, channel) = Cluster::new().pair(texts());
    let gather = Gather::<usize, String>::new(channel.clone(), ADD, PATIENCE);
    let error = failed(gather.ask(2000).await);
    let too_large = matches!(*error, CallError::Lost { source: Lost::AnswerTooLarge(_), .. });
    assert!(too_large, "{error:?}");
    assert_eq!(gather.ask(2).await.unwrap(), "xx");
    // Of those who believe otherwise, what is too large to the other is found by the other.
    let stricter = ADD.answer_bytes_max(10);
    let other = Gather::<usize, String>::new(channel.clone(), stricter, PATIENCE);
    let error = failed(other.ask(100).await);
    assert!(matches!(*error, CallError::Lost { source: Lost::Broken(_), .. }), "{error:?}");
    assert_eq!(other.ask(2).await.unwrap(), "xx");
    let large = vec![1_u64; 2000];
    for larger in [ADD, ADD.request_bytes_max(10_000)] {
        let other = Gather::<Vec<u64>, String>::new(channel.clone(), larger, PATIENCE);
        let refused = refusal(other.ask(large.clone()).await);
        assert!(matches!(refused, Refusal::TooLarge(_)), "{refused:?}");
    }
    let other = Gather::<&str, String>::new(channel.clone(), ADD, PATIENCE);
    let refused = refusal(other.ask("seven").await);
    assert!(matches!(refused, Refusal::Garbled(_)), "{refused:?}");
    let other = Gather::<usize, u64>::new(channel, ADD, PATIENCE);
    let error = failed(other.ask(7).await);
    assert!(matches!(*error, CallError::Lost { source: Lost::Garbled(_), .. }), "{error:?}");
    assert_eq!(gather.ask(3).await.unwrap(), "xxx");
}

#[tokio::test]
async fn streams_that_are_unknown_or_forbidden_are_refused() {
    const OTHER: Method = Method::new("test.Ends/Other");
    let (_server, channel) = Cluster::new().pair(adds().allow(|_, method| *method != ADD));
    let other = Gather::<u64, u64>::new(channel.clone(), OTHER, PATIENCE);
    assert_eq!(refusal(other.ask(1).await), Refusal::NotServed);
    let refused = refusal(adding(&channel).ask(1).await);
    assert!(
        matches!(&refused, Refusal::NotAllowed(text) if text.contains("client")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn who_may_ask_no_more_is_refused_on_a_stream_that_is_open() {
    let may_ask = Arc::new(AtomicBool::new(true));
    let looked_at = may_ask.clone();
    let router = adds().allow(move |_, _| looked_at.load(Ordering::SeqCst));
    let (_server, channel) = Cluster::new().pair(router);
    let gather = adding(&channel);
    assert_eq!(gather.ask(1).await.unwrap(), 2);
    may_ask.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        let refused = refusal(gather.ask(1).await);
        assert!(matches!(refused, Refusal::NotAllowed(_)), "{refused:?}");
    }
    may_ask.store(true, Ordering::SeqCst);
    assert_eq!(gather.ask(1).await.unwrap(), 2);
}

#[tokio::test]
async fn a_stream_counts_as_a_call_with_the_largest_request_until_it_ends() {
    for limits in [
        ServerLimits { calls_max: 1, ..ServerLimits::default() },
        ServerLimits { request_bytes_max: 1024, ..ServerLimits::default() },
    ] {
        let (_server, channel) = Cluster::new().pair(adds().limits(limits));
        let (first, second) = (adding(&channel), adding(&channel));
        assert_eq!(first.ask(1).await.unwrap(), 2);
        let refused = refusal(second.ask(1).await);
        assert!(matches!(refused, Refusal::OverLimit(_)), "{refused:?}");
        drop(first);
        let retried = async { while second.ask(1).await.is_err() {} };
        timeout(PATIENCE, retried).await.expect("room comes back");
    }
}

#[tokio::test]
async fn a_stream_on_which_nobody_asks_gives_its_room_back() {
    let stream_idle = Duration::from_millis(50);
    let limits = ServerLimits { calls_max: 1, stream_idle, ..ServerLimits::default() };
    let (_server, channel) = Cluster::new().pair(adds().limits(limits));
    let (first, second) = (adding(&channel), adding(&channel));
    for gather in [&first, &second, &first] {
        let asked = async { while gather.ask(1).await.is_err() {} };
        timeout(PATIENCE, asked).await.expect("the other's stream ends");
    }
    // As long as somebody asks, it stays.
    for _ in 0..20 {
        sleep(stream_idle / 5).await;
        assert_eq!(first.ask(1).await.unwrap(), 2);
    }
}

#[tokio::test]
async fn a_connection_has_few_streams() {
    let (_server, channel) = Cluster::new().pair(adds());
    let gathers: Vec<_> = (0..5).map(|_| adding(&channel)).collect();
    for gather in &gathers[..4] {
        assert_eq!(gather.ask(1).await.unwrap(), 2);
    }
    let refused = refusal(gathers[4].ask(1).await);
    assert!(matches!(&refused, Refusal::OverLimit(text) if text.contains('4')), "{refused:?}");
}

#[tokio::test]
async fn the_connection_closes_with_the_last_who_may_ask() {
    let limits = ServerLimits { connections_max: 1, ..ServerLimits::default() };
    let cluster = Cluster::new();
    let (server, channel) = cluster.pair(adds().limits(limits));
    let gather = adding(&channel);
    drop(channel);
    let clone = gather.clone();
    assert_eq!(gather.ask(1).await.unwrap(), 2);
    drop(gather);
    assert_eq!(clone.ask(1).await.unwrap(), 2);
    drop(clone);
    let second = Channel::new(&server.address.to_string(), None, cluster.security("second"));
    let retried = async { while second.connect().await.is_err() {} };
    timeout(PATIENCE, retried).await.expect("room comes back");
}

#[tokio::test]
async fn nobody_there_means_not_sent() {
    let (mut server, channel) = Cluster::new().pair(adds());
    server.kill();
    let gather = adding(&channel);
    let mut error = failed(gather.ask(1).await);
    while !matches!(*error, CallError::NotSent { source: NotSent::Connect(_), .. }) {
        // It may have accepted as it died.
        assert!(matches!(*error, CallError::NotSent { .. }), "{error:?}");
        error = failed(gather.ask(1).await);
    }
}
