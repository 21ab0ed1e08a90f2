//! Prints what a call over loopback with mutual TLS costs: calls per second and
//! latencies of an empty call, alone and many at once, and of large messages.
//!
//! `cargo run --release -p hearth-rpc --example throughput`

use bytes::Bytes;
use hearth_rpc::pki::Ca;
use hearth_rpc::{Channel, Method, Router, Security};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const EMPTY: Method = Method::new("example.Throughput/Empty");
const ECHO: Method =
    Method::new("example.Throughput/Echo").request_bytes_max(8 << 20).answer_bytes_max(8 << 20);
/// How long each measurement takes.
const LASTS: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    let ca = Ca::create(dir.path()).expect("a CA");
    let security = |name: &str| {
        let issued = ca.issue(&name.parse().expect("a name")).expect("a certificate");
        Security::mutual(&issued.identity().expect("an identity")).expect("it is valid")
    };
    for (how, server, client) in [
        ("mutual TLS", security("server"), security("client")),
        ("plaintext", Security::PlaintextOnLoopback, Security::PlaintextOnLoopback),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let router = Router::new()
            .method(EMPTY, |_, (): ()| async {})
            .method(ECHO, |_, payload: Bytes| async { payload });
        let stop = CancellationToken::new();
        let served = tokio::spawn(router.serve(listener, server, stop.clone()));
        let channel = Channel::new(&address, None, client);
        let begun = Instant::now();
        channel.connect().await.expect("a connection");
        println!("{how}: connected within {:?}", begun.elapsed());
        for at_once in [1, 16, 256] {
            let name = format!("  empty call, {at_once} at once");
            measure(&name, &channel, &EMPTY, &(), at_once).await;
        }
        let payload = Bytes::from(vec![7; 6 << 20]);
        measure("  6 MiB there and back", &channel, &ECHO, &payload, 1).await;
        stop.cancel();
        drop(channel);
        served.await.expect("no panic").expect("it served");
    }
}

/// Calls one method over and over, by so many callers.
async fn measure<T>(name: &str, channel: &Channel, method: &Method, request: &T, at_once: usize)
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    let begun = Instant::now();
    let callers: Vec<_> = (0..at_once)
        .map(|_| {
            let (channel, method, request) = (channel.clone(), *method, request.clone());
            tokio::spawn(async move {
                let mut took = Vec::new();
                while begun.elapsed() < LASTS {
                    let start = Instant::now();
                    let deadline = start + LASTS;
                    channel.call::<_, T>(&method, &request, deadline).await.expect("an answer");
                    took.push(start.elapsed());
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for caller in callers {
        took.extend(caller.await.expect("no panic"));
    }
    let rate = took.len() as f64 / begun.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!("{name}: {rate:.0} calls/s, p50 {:?}, p99 {:?}", at(50), at(99));
}
