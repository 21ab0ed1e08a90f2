//! Slow, greedy and numerous clients.

mod support;

use hearth_frontend::{FrontendOptions, ServeError};
use std::time::Duration;
use support::client::head;
use support::{ALICE, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const QUICK: Duration = Duration::from_millis(200);
/// More than any of this takes on a busy machine, less than the bounds that
/// would apply otherwise.
const PATIENCE: Duration = Duration::from_secs(20);

fn impatient() -> FrontendOptions {
    FrontendOptions { header_timeout: QUICK, stall_timeout: QUICK, ..Default::default() }
}

/// Everything until the server closes the connection.
async fn read_all(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let _reset_is_a_close_too = stream.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let stage = Stage::start_at("127.0.0.1:0", impatient()).await;
    for first in ["", "GET / HTTP/1.1\r\nhost: x\r\nx-slow:"] {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        stream.write_all(first.as_bytes()).await.unwrap();
        let said = read_all(&mut stream).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let stage = Stage::start_at("127.0.0.1:0", impatient()).await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(b"GET /hearth/v1/health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_that_stalls_is_refused() {
    let stage = Stage::start_at("127.0.0.1:0", impatient()).await;
    let path = "/2015-03-31/functions/f/invocations";
    let request = stage.client(ALICE).signed("POST", path, &[], "{}".into());
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let text = head(&request) + "content-length: 1000\r\n\r\n{";
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut said = [0; 12];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_response_that_is_never_read_is_cut_off() {
    let stage = Stage::start_at("127.0.0.1:0", impatient()).await;
    let alice = stage.client(ALICE);
    alice.create("large", "large.response").await;
    let path = "/2015-03-31/functions/large/invocations";
    let request = alice.signed("POST", path, &[], "{}".into());
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let text = head(&request) + "content-length: 2\r\n\r\n{}";
    stream.write_all(text.as_bytes()).await.unwrap();
    // Not one byte is read, and still the server comes to an end by itself.
    while stage.fleet.released.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    stage.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(20), stage.served).await.unwrap().unwrap().unwrap();
    drop(stream);
}

#[tokio::test]
async fn an_oversize_head_is_refused() {
    let stage = Stage::start().await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let text = format!("GET / HTTP/1.1\r\nhost: x\r\nx-large: {}", "x".repeat(100_000));
    let _cut_off = stream.write_all(text.as_bytes()).await;
    let said = read_all(&mut stream).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let options = FrontendOptions { connections_max: 1, ..Default::default() };
    let stage = Stage::start_at("127.0.0.1:0", options).await;
    let health = b"GET /hearth/v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let holder = TcpStream::connect(stage.address).await.unwrap();
    let mut waiter = TcpStream::connect(stage.address).await.unwrap();
    waiter.write_all(health).await.unwrap();
    let mut byte = [0; 1];
    let early = tokio::time::timeout(QUICK, waiter.read(&mut byte)).await;
    assert!(early.is_err(), "served beside the one connection that is allowed");
    drop(holder);
    assert!(read_all(&mut waiter).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn idle_connections_make_room() {
    let options = FrontendOptions { connections_max: 2, ..Default::default() };
    let stage = Stage::start_at("127.0.0.1:0", options).await;
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(TcpStream::connect(stage.address).await.unwrap());
    }
    let alice = stage.client(ALICE);
    let served = tokio::time::timeout(PATIENCE, alice.get("/hearth/v1/health"));
    assert_eq!(served.await.expect("locked out").status, 200);
}

#[tokio::test]
async fn half_a_request_does_not_hold_up_shutdown() {
    let stage = Stage::start().await;
    let mut halfway = TcpStream::connect(stage.address).await.unwrap();
    halfway.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    // An answer to another client says that the one before was accepted.
    assert_eq!(stage.client(ALICE).get("/hearth/v1/health").await.status, 200);
    stage.shutdown.cancel();
    let served = tokio::time::timeout(PATIENCE, stage.served).await.expect("held up");
    served.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_that_outlasts_the_shutdowns_grace_is_cut_off() {
    let options = FrontendOptions { shutdown_grace: QUICK, ..Default::default() };
    let stage = Stage::start_at("127.0.0.1:0", options).await;
    let alice = stage.client(ALICE);
    alice.create("w", "wait.for").await;
    let path = "/2015-03-31/functions/w/invocations";
    let request = alice.signed("POST", path, &[], "1".into());
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let text = head(&request) + "content-length: 1\r\n\r\n1";
    stream.write_all(text.as_bytes()).await.unwrap();
    while stage.fleet.events.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    stage.shutdown.cancel();
    let served = tokio::time::timeout(PATIENCE, stage.served).await.expect("waits for ever");
    let served = served.unwrap();
    assert!(matches!(served, Err(ServeError::GraceEnded(1))), "{served:?}");
    assert_eq!(read_all(&mut stream).await, "", "cut off without an answer");
}

#[tokio::test]
async fn calls_beyond_the_limit_are_throttled() {
    let options = FrontendOptions { calls_max: 1, ..Default::default() };
    let stage = Stage::start_at("127.0.0.1:0", options).await;
    let alice = stage.client(ALICE);
    alice.create("w", "wait.for").await;
    let path = "/2015-03-31/functions/w/invocations";
    let running = support::client::send(stage.address, alice.signed("POST", path, &[], "1".into()));
    let running = tokio::spawn(running);
    while stage.fleet.events.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(alice.invoke("w", "1").await.error(), (429, "TooManyRequestsException"));
    stage.fleet.gate.add_permits(1);
    assert_eq!(running.await.unwrap().status, 200);
}
