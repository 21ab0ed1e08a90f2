//! What bounds the number of calls and of connections.

mod support;

use hearth_rpc::{
    CHANNEL_CALLS_MAX, CallError, Channel, ConnectError, Method, NotSent, Router, ServerLimits,
};
use std::sync::Arc;
use support::{Cluster, PATIENCE, soon};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

const WAIT: Method = Method::new("test.Limits/Wait");

#[tokio::test]
async fn a_channel_has_as_many_calls_as_it_may_and_no_more() {
    let (begun, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let both = (begun.clone(), go_on.clone());
    let router = Router::new().method(WAIT, move |_, (): ()| {
        let (begun, go_on) = both.clone();
        async move {
            begun.add_permits(1);
            go_on.acquire().await.unwrap().forget();
        }
    });
    let (_server, channel) = Cluster::new().pair(router);
    let mut calls = JoinSet::new();
    for _ in 0..CHANNEL_CALLS_MAX {
        let channel = channel.clone();
        calls.spawn(async move { channel.call::<_, ()>(&WAIT, &(), soon()).await });
    }
    let all = u32::try_from(CHANNEL_CALLS_MAX).unwrap();
    timeout(PATIENCE, begun.acquire_many(all)).await.expect("none queues").unwrap().forget();
    let error = channel.call::<_, ()>(&WAIT, &(), soon()).await.unwrap_err();
    let is_over = matches!(error, CallError::NotSent { source: NotSent::TooManyCalls { .. }, .. });
    assert!(is_over, "{error:?}");
    go_on.add_permits(CHANNEL_CALLS_MAX + 1);
    while let Some(call) = calls.join_next().await {
        call.unwrap().unwrap();
    }
    channel.call::<_, ()>(&WAIT, &(), soon()).await.expect("there is room again");
}

#[tokio::test]
async fn a_server_has_as_many_connections_as_it_may_and_no_more() {
    let limits = ServerLimits { connections_max: 1, ..ServerLimits::default() };
    let cluster = Cluster::new();
    let (server, first) = cluster.pair(Router::new().limits(limits));
    let link = first.connect().await.unwrap();
    let second = Channel::new(&server.address.to_string(), None, cluster.security("second"));
    let error = timeout(PATIENCE, second.connect()).await.unwrap().unwrap_err();
    assert!(matches!(*error, ConnectError::Slow { .. }), "{error:?}");
    assert!(!link.is_closed());
    drop((first, link));
    // Those that were given up wait in line before it.
    let retried = async { while second.connect().await.is_err() {} };
    timeout(PATIENCE, retried).await.expect("room comes back");
}
