//! Peers that are not there, die, freeze, stop and come back.

mod support;

use hearth_rpc::{CallError, Channel, Channels, ConnectError, Lost, Method, NotSent, Router};
use hearth_rpc::{Security, ServerLimits};
use std::sync::Arc;
use std::time::Duration;
use support::{Cluster, PATIENCE, Relay, Server, soon};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout};

const ADD: Method = Method::new("test.Peers/Add");
const WAIT: Method = Method::new("test.Peers/Wait");

/// Adds one; and waits, saying that it does, until it may go on.
fn router() -> (Router, Arc<Semaphore>, Arc<Notify>) {
    let (waits, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
    let both = (waits.clone(), go_on.clone());
    let router = Router::new().method(ADD, |_, number: u32| async move { number + 1 }).method(
        WAIT,
        move |_, (): ()| {
            let (waits, go_on) = both.clone();
            async move {
                waits.add_permits(1);
                go_on.notified().await;
            }
        },
    );
    (router, waits, go_on)
}

async fn add(channel: &Channel) -> Result<u32, CallError> {
    channel.call(&ADD, &1, soon()).await
}

#[tokio::test]
async fn nobody_there_means_not_sent() {
    let vacant = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let channel = Channel::new(&vacant.to_string(), None, Cluster::new().security("a"));
    let error = add(&channel).await.unwrap_err();
    let CallError::NotSent { source: NotSent::Connect(error), .. } = error else {
        panic!("{error:?}")
    };
    assert!(matches!(*error, ConnectError::Tcp(at, _) if at == vacant), "{error:?}");
    let channel = Channel::new("not an address", None, Cluster::new().security("a"));
    let error = channel.connect().await.unwrap_err();
    assert!(matches!(*error, ConnectError::Resolve { .. }), "{error:?}");
}

#[tokio::test]
async fn a_peer_that_never_greets_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let channel = Channel::new(&address, None, Cluster::new().security("a"));
    let error = timeout(PATIENCE, channel.connect()).await.unwrap().unwrap_err();
    assert!(matches!(*error, ConnectError::Slow { .. }), "{error:?}");
    let short = Instant::now() + Duration::from_millis(20);
    let error = channel.call::<_, u32>(&ADD, &1, short).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent { source: NotSent::Deadline, .. }), "{error:?}");
}

#[tokio::test]
async fn a_peer_killed_midway_is_noticed_at_once_and_the_call_lost() {
    // A busy machine may be late once, or twice; pings would need a second each time.
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        quickest = quickest.min(killed_midway().await);
    }
    println!("a death was noticed after {quickest:?}");
    assert!(quickest < Duration::from_millis(900), "{quickest:?}");
}

/// Kills a peer in the midst of a call; how long until that was noticed.
async fn killed_midway() -> Duration {
    let (router, waits, _) = router();
    let (mut server, channel) = Cluster::new().pair(router);
    let link = channel.connect().await.unwrap();
    assert_eq!(link.peer().node.as_ref().unwrap().as_str(), "server");
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { channel.call::<_, ()>(&WAIT, &(), soon()).await }
    });
    timeout(PATIENCE, waits.acquire()).await.unwrap().unwrap().forget();
    assert!(!link.is_closed());
    server.kill();
    let killed = Instant::now();
    timeout(PATIENCE, link.closed()).await.expect("the death is noticed");
    let noticed = killed.elapsed();
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::Lost { source: Lost::Broken(_), .. }), "{error:?}");
    let error = add(&channel).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent { .. }), "{error:?}");
    timeout(PATIENCE, channel.closed()).await.expect("nobody is there");
    noticed
}

#[tokio::test]
async fn a_frozen_peer_is_noticed_by_pings_whether_calls_run_or_not() {
    for is_calling in [true, false] {
        let cluster = Cluster::new();
        let (router, waits, _) = router();
        let server = Server::start(router, cluster.security("server"));
        let relay = Relay::start(server.address).await;
        let channel = Channel::new(&relay.address.to_string(), None, cluster.security("client"));
        let link = channel.connect().await.unwrap();
        let call = is_calling.then(|| {
            let channel = channel.clone();
            tokio::spawn(async move { channel.call::<_, ()>(&WAIT, &(), soon()).await })
        });
        if is_calling {
            timeout(PATIENCE, waits.acquire()).await.unwrap().unwrap().forget();
        }
        relay.frozen.cancel();
        let frozen = Instant::now();
        timeout(Duration::from_secs(5), link.closed()).await.expect("pings notice");
        println!("a freeze was noticed after {:?}, calling: {is_calling}", frozen.elapsed());
        if let Some(call) = call {
            let error = call.await.unwrap().unwrap_err();
            let is_broken = matches!(error, CallError::Lost { source: Lost::Broken(_), .. });
            assert!(is_broken, "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_channel_connects_again_when_its_peer_is_back() {
    let cluster = Cluster::new();
    let (mut server, channel) = cluster.pair(router().0);
    for _ in 0..3 {
        let before = channel.connect().await.unwrap();
        assert_eq!(add(&channel).await.unwrap(), 2);
        server.kill();
        timeout(PATIENCE, before.closed()).await.unwrap();
        let at = server.address;
        server = Server::start_at(at, router().0, cluster.security("server"));
        assert_eq!(add(&channel).await.unwrap(), 2);
    }
}

#[tokio::test]
async fn a_server_that_stops_lets_calls_end_and_takes_no_more() {
    let (router, waits, go_on) = router();
    let (mut server, channel) = Cluster::new().pair(router);
    let link = channel.connect().await.unwrap();
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { channel.call::<_, ()>(&WAIT, &(), soon()).await }
    });
    timeout(PATIENCE, waits.acquire()).await.unwrap().unwrap().forget();
    server.stop.cancel();
    let refused = async {
        while let Ok(answer) = add(&channel).await {
            assert_eq!(answer, 2, "one that came before the word did");
        }
    };
    timeout(PATIENCE, refused).await.expect("no more calls are taken");
    assert!(!call.is_finished(), "the one that runs is not cut");
    go_on.notify_one();
    call.await.unwrap().unwrap();
    server.ended().await;
    timeout(PATIENCE, link.closed()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_ever() {
    let (router, waits, _) = router();
    let grace = Duration::from_millis(50);
    let router = router.limits(ServerLimits { grace, ..ServerLimits::default() });
    let (mut server, channel) = Cluster::new().pair(router);
    let call = tokio::spawn(async move { channel.call::<_, ()>(&WAIT, &(), soon()).await });
    timeout(PATIENCE, waits.acquire()).await.unwrap().unwrap().forget();
    server.stop.cancel();
    server.ended().await;
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::Lost { source: Lost::Broken(_), .. }), "{error:?}");
}

#[tokio::test]
async fn many_who_call_at_once_share_one_connection() {
    let cluster = Cluster::new();
    let server = Server::start(router().0, cluster.security("server"));
    let channels = Channels::new(cluster.security("client"));
    let address = server.address.to_string();
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let channel = channels.get(&address, None).unwrap();
            tokio::spawn(async move {
                let link = channel.connect().await.unwrap();
                assert_eq!(add(&channel).await.unwrap(), 2);
                link
            })
        })
        .collect();
    let mut links = vec![];
    for call in calls {
        links.push(call.await.unwrap());
    }
    assert!(links.iter().all(|link| link.is_same(&links[0])));
}

#[tokio::test]
async fn a_pool_lets_go_of_what_nobody_holds() {
    let channels = Channels::with_max(Security::PlaintextOnLoopback, 2);
    let held = channels.get("a:1", None).unwrap();
    drop(channels.get("b:1", None).unwrap());
    let other = channels.get("c:1", None).unwrap();
    assert_eq!(channels.get("d:1", None).unwrap_err().max, 2);
    assert_eq!(channels.get("a:1", None).unwrap().address(), held.address());
    drop(other);
    channels.get("d:1", None).unwrap();
    channels.forget("a:1");
    channels.get("e:1", None).unwrap();
}
