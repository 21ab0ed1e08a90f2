//! What calls carry, and what is refused.

mod support;

use bytes::Bytes;
use hearth_rpc::{CallError, Lost, Method, Refusal, Router, ServerLimits};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Cluster, PATIENCE, soon};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout};

const MIB: usize = 1 << 20;
const ECHO: Method =
    Method::new("test.Echo/Bytes").request_bytes_max(8 * MIB).answer_bytes_max(8 * MIB);
const GROW: Method = Method::new("test.Echo/Grow").answer_bytes_max(1000);
const WAIT: Method = Method::new("test.Echo/Wait");

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Event {
    payload: Bytes,
}

#[tokio::test]
async fn six_mebibytes_there_and_back() {
    let router = Router::new().method(ECHO, |_, event: Event| async { event });
    let (_server, channel) = Cluster::new().pair(router);
    let payload: Vec<u8> = (0..6 * MIB).map(|at| (at * 7 + at / 251) as u8).collect();
    let event = Event { payload: payload.into() };
    let answer: Event = channel.call(&ECHO, &event, soon()).await.unwrap();
    assert!(answer == event);
}

#[tokio::test]
async fn handlers_know_who_calls_and_answer_errors_of_their_own() {
    const WHO: Method = Method::new("test.Echo/Who");
    type Answer = Result<String, Option<u32>>;
    let router = Router::new().method(WHO, |peer, is_good: bool| async move {
        let name = peer.node.map(|node| node.to_string());
        if is_good { Answer::Ok(name.unwrap()) } else { Answer::Err(Some(7)) }
    });
    let (_server, channel) = Cluster::new().pair(router);
    let good: Answer = channel.call(&WHO, &true, soon()).await.unwrap();
    assert_eq!(good, Ok("client".to_owned()));
    let bad: Answer = channel.call(&WHO, &false, soon()).await.unwrap();
    assert_eq!(bad, Err(Some(7)));
}

#[tokio::test]
async fn requests_that_are_too_large_are_refused_on_either_side() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    const OLDER: Method = Method::new("test.Echo/Bytes").request_bytes_max(MIB);
    let router = Router::new().method(OLDER, move |_, _: Event| {
        counted.fetch_add(1, Ordering::SeqCst);
        async {}
    });
    let (_server, channel) = Cluster::new().pair(router);
    // The client knows the same limit, or a neighbouring version's, which is larger.
    for method in [OLDER, ECHO] {
        for size in [MIB, 7 * MIB] {
            let event = Event { payload: vec![1; size].into() };
            let error = channel.call::<_, ()>(&method, &event, soon()).await.unwrap_err();
            let CallError::Refused { source: Refusal::TooLarge(_), .. } = error else {
                panic!("{error:?}")
            };
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    let event = Event { payload: vec![1; MIB - 100].into() };
    channel.call::<_, ()>(&ECHO, &event, soon()).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn answers_that_are_too_large_are_lost() {
    let router = Router::new()
        .method(GROW, |_, size: usize| async move { Event { payload: vec![1; size].into() } });
    let (_server, channel) = Cluster::new().pair(router);
    channel.call::<_, Event>(&GROW, &900, soon()).await.unwrap();
    let error = channel.call::<_, Event>(&GROW, &1000, soon()).await.unwrap_err();
    assert!(matches!(error, CallError::Lost { source: Lost::AnswerTooLarge(_), .. }), "{error:?}");
    const STRICTER: Method = GROW.answer_bytes_max(500);
    let error = channel.call::<_, Event>(&STRICTER, &900, soon()).await.unwrap_err();
    assert!(matches!(error, CallError::Lost { source: Lost::Broken(_), .. }), "{error:?}");
}

#[tokio::test]
async fn fields_of_neighbouring_versions() {
    #[derive(Serialize, Deserialize)]
    struct Newer {
        #[serde(default)]
        zone: Option<String>,
        name: String,
    }
    #[derive(Serialize, Deserialize)]
    struct Older {
        name: String,
    }
    const GREET: Method = Method::new("test.Versions/Greet");
    let router = Router::new().method(GREET, |_, newer: Newer| async move {
        Newer { name: format!("{} of {:?}", newer.name, newer.zone), zone: Some("b".into()) }
    });
    let (_server, channel) = Cluster::new().pair(router);
    let older: Older = channel.call(&GREET, &Older { name: "w".into() }, soon()).await.unwrap();
    assert_eq!(older.name, "w of None");
    let newer = Newer { name: "w".into(), zone: Some("a".into()) };
    let newer: Newer = channel.call(&GREET, &newer, soon()).await.unwrap();
    assert_eq!((newer.name.as_str(), newer.zone.as_deref()), ("w of Some(\"a\")", Some("b")));
}

#[tokio::test]
async fn what_makes_no_sense_is_told_by_whom() {
    let router = Router::new().method(GROW, |_, size: usize| async move { size });
    let (_server, channel) = Cluster::new().pair(router);
    let error = channel.call::<_, usize>(&GROW, "seven", soon()).await.unwrap_err();
    assert!(matches!(error, CallError::Refused { source: Refusal::Garbled(_), .. }), "{error:?}");
    let error = channel.call::<_, String>(&GROW, &7, soon()).await.unwrap_err();
    assert!(matches!(error, CallError::Lost { source: Lost::Garbled(_), .. }), "{error:?}");
}

#[tokio::test]
async fn unknown_and_forbidden_methods_are_refused() {
    let router = Router::new()
        .method(WAIT, |_, (): ()| async {})
        .method(ECHO, |_, event: Event| async { event })
        .allow(|peer, method| {
            *method != WAIT || peer.node.as_ref().is_some_and(|n| n.as_str() == "leader")
        });
    let (_server, channel) = Cluster::new().pair(router);
    let error = channel.call::<_, usize>(&GROW, &7, soon()).await.unwrap_err();
    assert!(matches!(error, CallError::Refused { source: Refusal::NotServed, .. }), "{error:?}");
    let error = channel.call::<_, ()>(&WAIT, &(), soon()).await.unwrap_err();
    let CallError::Refused { source: Refusal::NotAllowed(text), .. } = error else {
        panic!("{error:?}")
    };
    assert!(text.contains("client"), "{text}");
    let event = Event { payload: Bytes::from_static(b"still") };
    assert_eq!(channel.call::<_, Event>(&ECHO, &event, soon()).await.unwrap(), event);
}

#[tokio::test]
async fn a_panic_is_its_callers_only() {
    let router = Router::new().method(GROW, |_, size: usize| async move {
        assert!(size != 13, "the panic of a test");
        size
    });
    let (_server, channel) = Cluster::new().pair(router);
    let link = channel.connect().await.unwrap();
    let error = channel.call::<_, usize>(&GROW, &13, soon()).await.unwrap_err();
    assert!(matches!(error, CallError::Lost { source: Lost::HandlerPanicked, .. }), "{error:?}");
    assert_eq!(channel.call::<_, usize>(&GROW, &14, soon()).await.unwrap(), 14);
    assert!(!link.is_closed());
}

#[tokio::test]
async fn a_handler_finishes_though_its_caller_has_gone() {
    let (begun, go_on, done) =
        (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let all = (begun.clone(), go_on.clone(), done.clone());
    let router = Router::new().method(WAIT, move |_, (): ()| {
        let (begun, go_on, done) = all.clone();
        async move {
            begun.notify_one();
            go_on.notified().await;
            done.notify_one();
        }
    });
    let (_server, channel) = Cluster::new().pair(router);
    {
        let call = channel.call::<_, ()>(&WAIT, &(), soon());
        tokio::select! {
            outcome = call => panic!("{outcome:?}"),
            () = begun.notified() => {}
        }
    }
    // Nor does it matter that the connection closes.
    drop(channel);
    go_on.notify_one();
    timeout(PATIENCE, done.notified()).await.expect("it goes on to its end");
}

#[tokio::test]
async fn a_call_is_lost_once_its_time_is_over() {
    let router = Router::new().method(WAIT, |_, (): ()| std::future::pending::<()>());
    let (_server, channel) = Cluster::new().pair(router);
    channel.connect().await.unwrap();
    let short = Instant::now() + Duration::from_millis(50);
    let error = channel.call::<_, ()>(&WAIT, &(), short).await.unwrap_err();
    assert!(matches!(error, CallError::Lost { source: Lost::Deadline, .. }), "{error:?}");
    assert!(Instant::now() >= short);
}

#[tokio::test]
async fn calls_and_bytes_over_the_limit_are_refused() {
    let (begun, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let both = (begun.clone(), go_on.clone());
    let limits = ServerLimits { calls_max: 2, request_bytes_max: MIB, ..ServerLimits::default() };
    let router = Router::new().limits(limits).method(ECHO, move |_, _: Event| {
        let (begun, go_on) = both.clone();
        async move {
            begun.add_permits(1);
            go_on.acquire().await.unwrap().forget();
        }
    });
    let (_server, channel) = Cluster::new().pair(router);
    let start = |size: usize| {
        let channel = channel.clone();
        let event = Event { payload: vec![1; size].into() };
        tokio::spawn(async move { channel.call::<_, ()>(&ECHO, &event, soon()).await })
    };
    let refused = |outcome: Result<(), CallError>| match outcome.unwrap_err() {
        CallError::Refused { source: Refusal::OverLimit(text), .. } => text,
        error => panic!("{error:?}"),
    };
    let first = start(700_000);
    timeout(PATIENCE, begun.acquire()).await.unwrap().unwrap().forget();
    let text = refused(start(700_000).await.unwrap());
    assert!(text.contains("bytes"), "{text}");
    let second = start(100_000);
    timeout(PATIENCE, begun.acquire()).await.unwrap().unwrap().forget();
    let text = refused(start(10).await.unwrap());
    assert!(text.contains("2 calls"), "{text}");
    go_on.add_permits(2);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    // Their room is free again; the server may learn a moment later that all was sent.
    go_on.add_permits(1);
    let retried = async { while start(700_000).await.unwrap().is_err() {} };
    timeout(PATIENCE, retried).await.expect("room comes back");
}
