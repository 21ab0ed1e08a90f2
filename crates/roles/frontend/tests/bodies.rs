//! Request bodies: what strangers, forgers and greedy accounts may hold.

mod support;

use bytes::Bytes;
use hearth_frontend::FrontendOptions;
use std::time::Duration;
use support::client::{Client, head, send};
use support::{ALICE, BOB, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// More than any of this takes on a busy machine, less than a refused body is
/// drained for.
const PATIENCE: Duration = Duration::from_secs(8);
const MIB: usize = 1024 * 1024;
const INVOKE: &str = "/2015-03-31/functions/f/invocations";
/// Of `{}`.
const HASH: (&str, &str) =
    ("x-amz-content-sha256", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");

/// A client that knows Alice's access key id, which is no secret.
fn forger(stage: &Stage) -> Client {
    Client { secret: "a guess".into(), ..stage.client(ALICE) }
}

/// Sends the head of an invoke, signed for `{}`, then `more` of the request.
async fn begin(client: &Client, headers: &[(&str, &str)], more: &str) -> TcpStream {
    let request = client.signed("POST", INVOKE, headers, Bytes::from_static(b"{}"));
    let mut stream = TcpStream::connect(client.address).await.unwrap();
    stream.write_all((head(&request) + more).as_bytes()).await.unwrap();
    stream
}

/// The head of the next response.
async fn said(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n\r\n") {
        said.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(said).unwrap()
}

/// Reads until the server waits for the body.
async fn asked_for_body(stream: &mut TcpStream) {
    assert!(said(stream).await.starts_with("HTTP/1.1 100 "));
}

#[tokio::test]
async fn announced_bodies_take_no_room() {
    let options = FrontendOptions { payload_bytes_max: 16 * MIB, ..Default::default() };
    let stage = Stage::start_at("127.0.0.1:0", options).await;
    let bob = stage.client(BOB);
    bob.create("f", "echo.it").await;
    let mut forged = Vec::new();
    for _ in 0..4 {
        let more = format!("content-length: {}\r\nexpect: 100-continue\r\n\r\n", 5 * MIB);
        let mut stream = begin(&forger(&stage), &[], &more).await;
        // Where bodies take room as announced, the last of these finds none.
        timeout(PATIENCE, asked_for_body(&mut stream)).await.expect("no room for a promise");
        stream.write_all(b"{").await.unwrap();
        forged.push(stream);
    }
    assert_eq!(bob.invoke("f", &" 1".repeat(MIB / 2)).await.status, 400);
    let payload = format!("[{}]", " ".repeat(MIB));
    assert_eq!(bob.invoke("f", &payload).await.status, 200);
}

#[tokio::test]
async fn what_forgers_hold_starves_nobody_else() {
    // Claims get 16 MiB, so one account's claims 8.
    let options = FrontendOptions { payload_bytes_max: 32 * MIB, ..Default::default() };
    let stage = Stage::start_at("127.0.0.1:0", options).await;
    let (alice, bob) = (stage.client(ALICE), stage.client(BOB));
    for client in [&alice, &bob] {
        client.create("f", "echo.it").await;
    }
    let more = format!("content-length: {}\r\n\r\n", 6 * MIB);
    let mut holder = begin(&forger(&stage), &[], &more).await;
    holder.write_all(&vec![b' '; 6 * MIB - 1]).await.unwrap();
    let large = || Bytes::from(format!("[{}]", " ".repeat(4 * MIB)));
    // The forged body has arrived once another in Alice's name finds no room.
    let throttled = async { while alice.invoke_with("f", &[], large()).await.error().0 != 429 {} };
    timeout(PATIENCE, throttled).await.expect("forgers are not bounded");

    assert_eq!(bob.invoke_with("f", &[], large()).await.status, 200, "another account");
    let proven = hash_of(&large());
    let proven = [("x-amz-content-sha256", proven.as_str())];
    assert_eq!(alice.invoke_with("f", &proven, large()).await.status, 200, "who can prove it");
    assert_eq!(alice.invoke("f", "1").await.status, 200, "and small bodies");

    drop(holder);
    // The fake remembers what it was sent.
    stage.fleet.events.lock().clear();
    let served = async { while alice.invoke_with("f", &[], large()).await.status != 200 {} };
    timeout(PATIENCE, served).await.expect("the room was not given back");
}

fn hash_of(body: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn one_account_is_left_a_share_however_much_another_holds() {
    let options = FrontendOptions { payload_bytes_max: 32 * MIB, ..Default::default() };
    let stage = Stage::start_at("127.0.0.1:0", options).await;
    let (alice, bob) = (stage.client(ALICE), stage.client(BOB));
    alice.create("f", "wait.for").await;
    bob.create("f", "echo.it").await;
    let large = || Bytes::from(format!("[{}]", " ".repeat(5 * MIB)));
    let running = alice.signed("POST", INVOKE, &[], large());
    let running = tokio::spawn(send(stage.address, running));
    let runs = async {
        while stage.fleet.events.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, runs).await.expect("refused, with all the room free");
    // A payload counts for as long as its invocation runs.
    let more = alice.invoke_with("f", &[], large()).await;
    assert_eq!(more.error(), (429, "TooManyRequestsException"));
    assert!(more.message().contains("memory"), "{}", more.message());
    assert_eq!(more.json()["Reason"], "CallerRateLimitExceeded");
    assert_eq!(bob.invoke_with("f", &[], large()).await.status, 200);
    stage.fleet.gate.add_permits(2);
    assert_eq!(running.await.unwrap().status, 200);
    // The fake remembers what it was sent.
    stage.fleet.events.lock().clear();
    let served = async { while alice.invoke_with("f", &[], large()).await.status != 200 {} };
    timeout(PATIENCE, served).await.expect("the room was not given back");
}

#[tokio::test]
async fn a_forged_head_that_declares_its_bodys_hash_is_refused_before_the_body() {
    let stage = Stage::start().await;
    let more = "content-length: 2\r\nexpect: 100-continue\r\n\r\n";
    let mut honest = begin(&stage.client(ALICE), &[HASH], more).await;
    asked_for_body(&mut honest).await;
    let mut forged = begin(&forger(&stage), &[HASH], more).await;
    let refusal = said(&mut forged).await;
    assert!(refusal.starts_with("HTTP/1.1 403 "), "{refusal}");
    assert!(refusal.contains("x-amzn-errortype: InvalidSignatureException\r\n"), "{refusal}");
    assert!(refusal.contains("connection: close\r\n"), "{refusal}");
}

#[tokio::test]
async fn a_body_that_only_dribbles_in_is_cut_off_whatever_it_announced() {
    let body_timeout = Duration::from_millis(200);
    let options = FrontendOptions { body_timeout, ..Default::default() };
    let stage = Stage::start_at("127.0.0.1:0", options).await;
    let more = format!("content-length: {}\r\n\r\n", 6 * MIB);
    let mut stream = begin(&stage.client(ALICE), &[], &more).await;
    let dribble = async {
        let pause = Duration::from_millis(20);
        loop {
            match timeout(pause, stream.read_u8()).await {
                Ok(first) => return first.unwrap(),
                Err(_silent) => stream.write_all(b" ").await.unwrap(),
            }
        }
    };
    assert_eq!(timeout(PATIENCE, dribble).await.expect("never cut off"), b'H');
    let mut status = [0; 11];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"TTP/1.1 408");
}

#[tokio::test]
async fn one_account_holds_few_connections_with_slow_bodies() {
    // Claims get four of them, so one account's claims two.
    let options = FrontendOptions { connections_max: 8, ..Default::default() };
    let stage = Stage::start_at("127.0.0.1:0", options).await;
    let mut slow = JoinSet::new();
    for _ in 0..3 {
        let forger = forger(&stage);
        slow.spawn(async move {
            let mut stream = begin(&forger, &[], "content-length: 2\r\n\r\n").await;
            let mut said = String::new();
            stream.read_to_string(&mut said).await.unwrap();
            said
        });
    }
    let first = timeout(PATIENCE, slow.join_next()).await.expect("all are waited for");
    let said = first.unwrap().unwrap();
    assert!(said.starts_with("HTTP/1.1 429 ") && said.contains("slow uploads"), "{said}");
}

#[tokio::test]
async fn few_refused_bodies_are_drained_at_once() {
    const DRAINS_MAX: usize = 64;
    const MORE: usize = 8;
    let stage = Stage::start().await;
    let mut refused = JoinSet::new();
    for _ in 0..DRAINS_MAX + MORE {
        let address = stage.address;
        refused.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!("POST {INVOKE} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            said(&mut stream).await
        });
    }
    for _ in 0..MORE {
        let said = timeout(PATIENCE, refused.join_next()).await.expect("all are waited for");
        let said = said.unwrap().unwrap();
        assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
        assert!(said.contains("connection: close\r\n"), "{said}");
    }
}

#[tokio::test]
async fn after_a_drained_refusal_the_connection_goes_on() {
    let stage = Stage::start().await;
    let mut stream = begin(&forger(&stage), &[HASH], "content-length: 2\r\n\r\n{}").await;
    let refusal = said(&mut stream).await;
    assert!(refusal.starts_with("HTTP/1.1 403 ") && !refusal.contains("connection: close"));
    let length = refusal.split_once("content-length: ").unwrap().1.split_once('\r').unwrap().0;
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    stream.write_all(b"GET /hearth/v1/health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(said(&mut stream).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_chunked_body_that_grows_too_large_is_told_so() {
    let stage = Stage::start().await;
    let more = "transfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n";
    let mut stream = begin(&stage.client(ALICE), &[], more).await;
    asked_for_body(&mut stream).await;
    // Like most clients, it listens only once all is sent.
    let chunk = format!("{:x}\r\n{}\r\n", MIB, " ".repeat(MIB));
    for _ in 0..12 {
        stream.write_all(chunk.as_bytes()).await.expect("hung up in the middle");
    }
    stream.write_all(b"0\r\n\r\n").await.expect("hung up in the middle");
    assert!(said(&mut stream).await.starts_with("HTTP/1.1 413 "));
}
