//! Large answers and clients that are in no hurry to take them.

mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hearth_frontend::FrontendOptions;
use std::time::Duration;
use support::client::{function, head};
use support::{ALICE, BOB, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, interval, timeout};

const PATIENCE: Duration = Duration::from_secs(20);
const MIB: usize = 1024 * 1024;
/// Of the function that answers as much as a function may.
const ANSWER_BYTES: usize = 6 * MIB + 100;

/// Alice asks for the large answer, through a window too small for it.
async fn ask(stage: &Stage) -> TcpStream {
    let path = "/2015-03-31/functions/f/invocations";
    let (stream, status) = ask_for(stage, "POST", path, "{}").await;
    assert_eq!(status, "HTTP/1.1 200");
    stream
}

async fn ask_for(stage: &Stage, method: &str, path: &str, body: &str) -> (TcpStream, String) {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let request = stage.client(ALICE).signed(method, path, &[], body.clone());
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = socket.connect(stage.address).await.unwrap();
    let text = head(&request) + &format!("content-length: {}\r\n\r\n", body.len());
    stream.write_all(&[text.as_bytes(), &body].concat()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    (stream, String::from_utf8(status.into()).unwrap())
}

/// Takes the whole answer, at an even pace over `duration`; whether it came.
async fn take(stream: &mut TcpStream, duration: Duration) -> bool {
    const STEPS: u32 = 20;
    let mut pace = interval((duration / STEPS).max(Duration::from_nanos(1)));
    let mut piece = vec![0; ANSWER_BYTES / STEPS as usize];
    for _ in 0..STEPS {
        pace.tick().await;
        let read = timeout(PATIENCE, stream.read_exact(&mut piece)).await;
        if read.expect("the answer stopped").is_err() {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn a_connection_does_not_make_room_before_its_answer_is_taken() {
    let options = FrontendOptions { connections_max: 1, ..Default::default() };
    let stage = Stage::start_at("127.0.0.1:0", options).await;
    stage.client(ALICE).create("f", "large.response").await;
    let mut stream = ask(&stage).await;
    let mut waiter = TcpStream::connect(stage.address).await.unwrap();
    waiter.write_all(b"GET /hearth/v1/health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let began = Instant::now();
    // Idle connections make room after a second.
    assert!(take(&mut stream, Duration::from_secs(2)).await, "cut off");
    assert!(began.elapsed() >= Duration::from_millis(1_500), "too quick to show anything");
    let mut status = [0; 12];
    let served = timeout(PATIENCE, waiter.read_exact(&mut status)).await;
    served.expect("idle again, it makes room").unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
}

#[tokio::test]
async fn an_account_that_does_not_take_its_answers_gets_no_more() {
    // Half of it is for what callers hold, so Alice's share is less than one answer.
    let options = FrontendOptions { payload_bytes_max: 16 * MIB, ..Default::default() };
    let stage = Stage::start_at("127.0.0.1:0", options).await;
    let (alice, bob) = (stage.client(ALICE), stage.client(BOB));
    alice.create("f", "large.response").await;
    bob.create("f", "echo.it").await;
    let mut stream = ask(&stage).await;
    let ran = stage.fleet.events.lock().len();
    let refused = alice.invoke("f", "1").await;
    assert_eq!(refused.error(), (429, "TooManyRequestsException"));
    assert!(refused.message().contains("memory"), "{}", refused.message());
    assert_eq!(stage.fleet.events.lock().len(), ran, "refused before it ran");
    assert_eq!(bob.invoke("f", "1").await.status, 200);
    assert!(take(&mut stream, Duration::ZERO).await);
    let served = async { while alice.invoke("f", "1").await.status != 200 {} };
    timeout(PATIENCE, served).await.expect("throttled for ever");
}

#[tokio::test]
async fn one_account_holds_few_connections_with_downloads() {
    // Callers get four of them, so one account two.
    let options = FrontendOptions { connections_max: 8, ..Default::default() };
    let stage = Stage::start_at("127.0.0.1:0", options).await;
    let alice = stage.client(ALICE);
    let mut body = function("f", "echo.it");
    let zip = [b"PK\x05\x06".to_vec(), vec![0; ANSWER_BYTES]].concat();
    body["Code"]["ZipFile"] = STANDARD.encode(zip).into();
    let created = alice.send("POST", "/2015-03-31/functions", &[], body.to_string()).await;
    assert_eq!(created.status, 201);
    let mut downloads = Vec::new();
    let path = "/hearth/v1/functions/f/code";
    for _ in 0..2 {
        let (stream, status) = ask_for(&stage, "GET", path, "").await;
        assert_eq!(status, "HTTP/1.1 200");
        downloads.push(stream);
    }
    let refused = alice.get(path).await;
    assert_eq!(refused.error(), (429, "TooManyRequestsException"));
    assert!(refused.message().contains("downloads"), "{}", refused.message());
    downloads.clear();
    let served = async { while alice.get(path).await.status != 200 {} };
    timeout(PATIENCE, served).await.expect("throttled for ever");
}
