//! The Runtime API as a runtime, or an attacker, sees it.

use super::harness::{Client, IDLE, Sandbox, TIMEOUT_MS, head};
use crate::session::SessionError;
use hearth_agent_proto::{FailureKind, FromAgent, ResultHead, ResultKind, ToAgent};
use hearth_types::{INVOKE_PAYLOAD_BYTES_MAX, INVOKE_RESPONSE_BYTES_MAX};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn response(body: &str) -> (ResultHead, Vec<u8>) {
    let head = ResultHead { kind: ResultKind::Response, body_bytes: body.len() as u32 };
    (head, body.into())
}

#[tokio::test]
async fn events_come_with_their_headers_and_answers_go_back() {
    let (mut sandbox, mut client) = Sandbox::ready().await;
    for id in ["id-1", "id-2"] {
        sandbox.invoke(id, b"{\"n\":1}").await;
        let (status, head, body) = client.reply().await;
        assert_eq!((status, body.as_str()), (200, "{\"n\":1}"));
        for header in [
            &format!("Lambda-Runtime-Aws-Request-Id: {id}"),
            "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:local:1:function:f",
            "Lambda-Runtime-Trace-Id: Root=1-2-3",
            "Lambda-Runtime-Client-Context: { \"a\":1}",
            "Content-Type: application/json",
        ] {
            assert!(head.contains(header), "{header} is not in {head}");
        }
        client.ask("POST", &format!("/invocation/{id}/response"), "\"ok\"").await;
        let (status, _, body) = client.reply().await;
        assert_eq!((status, body.trim_end()), (202, "{\"status\":\"OK\"}"));
        assert_eq!(sandbox.result().await, response("\"ok\""));
        client.ask("GET", "/invocation/next", "").await;
    }
}

#[tokio::test]
async fn a_deadline_leaves_no_more_than_the_timeout() {
    let (mut sandbox, mut client) = Sandbox::ready().await;
    let now_ms = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let before = now_ms();
    sandbox.invoke("a", b"1").await;
    let (_, head, _) = client.reply().await;
    let (_, deadline) = head.split_once("Lambda-Runtime-Deadline-Ms: ").unwrap();
    let deadline: u64 = deadline.lines().next().unwrap().parse().unwrap();
    let timeout = u64::from(TIMEOUT_MS);
    assert!((before + timeout..=now_ms() + timeout).contains(&deadline), "{deadline}");
}

#[tokio::test]
async fn a_handlers_error_is_passed_on_and_the_sandbox_lives() {
    let (mut sandbox, mut client) = Sandbox::ready().await;
    sandbox.invoke("a", b"1").await;
    client.reply().await;
    assert_eq!(client.status("POST", "/invocation/a/error", "{\"errorType\":\"E\"}").await, 202);
    let (head, body) = sandbox.result().await;
    assert_eq!((head.kind, body.as_slice()), (ResultKind::Error, &b"{\"errorType\":\"E\"}"[..]));

    sandbox.invoke("b", b"2").await;
    client.ask("GET", "/invocation/next", "").await;
    assert_eq!(client.reply().await.2, "2");
}

#[tokio::test]
async fn an_init_error_is_final() {
    let mut sandbox = Sandbox::running(IDLE).await;
    let mut client = Client::connect(sandbox.api).await;
    assert_eq!(client.status("POST", "/init/error", "{}").await, 202);
    let failed = sandbox.message().await;
    let head = ResultHead { kind: ResultKind::Error, body_bytes: 2 };
    assert_eq!(failed, FromAgent::InitFailed(head));
    assert_eq!(sandbox.bulk(2).await, b"{}");
    assert_eq!(client.status("GET", "/invocation/next", "").await, 403);
}

#[tokio::test]
async fn responses_up_to_the_limit_pass_and_larger_ones_do_not() {
    let (mut sandbox, mut client) = Sandbox::ready().await;
    let largest = "x".repeat(INVOKE_RESPONSE_BYTES_MAX);
    sandbox.invoke("a", b"1").await;
    client.reply().await;
    let (status, answer) =
        tokio::join!(client.status("POST", "/invocation/a/response", &largest), sandbox.result());
    assert_eq!(status, 202);
    assert!(answer == response(&largest));

    let too_large = largest + "x";
    sandbox.invoke("b", b"1").await;
    client.ask("GET", "/invocation/next", "").await;
    client.reply().await;
    assert_eq!(client.status("POST", "/invocation/b/response", &too_large).await, 413);
    let kind = ResultKind::TooLarge { bytes: too_large.len() as u64 };
    assert_eq!(sandbox.result().await.0, ResultHead { kind, body_bytes: 0 });

    sandbox.invoke("c", b"3").await;
    client.ask("GET", "/invocation/next", "").await;
    assert_eq!(client.reply().await.2, "3");
}

#[tokio::test]
async fn events_up_to_the_limit_pass_and_larger_ones_end_the_session() {
    let (mut sandbox, mut client) = Sandbox::ready().await;
    let largest = vec![b'x'; INVOKE_PAYLOAD_BYTES_MAX];
    let ((), (status, _, body)) = tokio::join!(sandbox.invoke("a", &largest), client.reply());
    assert_eq!((status, body.len()), (200, largest.len()));
    let mut head = head("b", b"");
    head.payload_bytes = INVOKE_PAYLOAD_BYTES_MAX as u32 + 1;
    sandbox.send(&ToAgent::Invoke(head), b"").await;
    assert!(matches!(sandbox.ended().await, Err(SessionError::OutOfTurn(_))));
}

#[tokio::test]
async fn wrong_requests_are_refused_as_aws_does() {
    let (mut sandbox, mut client) = Sandbox::ready().await;
    let mut other = Client::connect(sandbox.api).await;
    // Nothing runs yet.
    assert_eq!(other.status("POST", "/invocation/a/response", "1").await, 403);
    sandbox.invoke("a", b"1").await;
    client.reply().await;
    other.ask("POST", "/invocation/b/response", "1").await;
    let (status, _, body) = other.reply().await;
    assert_eq!(status, 400);
    let wanted = "{\"errorMessage\":\"Invalid request ID\",\"errorType\":\"InvalidRequestID\"}";
    assert_eq!(body.trim_end(), wanted);
    for (method, path, status) in [
        ("GET", "/invocation/next", 403),
        ("POST", "/init/error", 403),
        ("GET", "/nowhere", 404),
        ("DELETE", "/invocation/next", 405),
    ] {
        assert_eq!(other.status(method, path, "").await, status, "{method} {path}");
    }
    // None of it reached the worker, and the answer still counts.
    assert_eq!(client.status("POST", "/invocation/a/response", "1").await, 202);
    assert_eq!(sandbox.result().await, response("1"));
}

#[tokio::test]
async fn garbage_ends_its_connection_only() {
    let (mut sandbox, mut client) = Sandbox::ready().await;
    let endless_head = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(200_000));
    for garbage in ["\0\u{1}\u{2}garbage\r\n\r\n", "GET\r\n\r\n", &endless_head] {
        let mut other = Client::connect(sandbox.api).await;
        // The agent may hang up before it has read all.
        drop(other.stream.write_all(garbage.as_bytes()).await);
        let mut reply = Vec::new();
        drop(other.stream.read_to_end(&mut reply).await);
        let reply = String::from_utf8_lossy(&reply);
        assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 4"), "{reply}");
    }
    sandbox.invoke("a", b"1").await;
    assert_eq!(client.reply().await.0, 200);
}

#[tokio::test]
async fn a_broken_off_answer_can_be_sent_again() {
    let (mut sandbox, mut client) = Sandbox::ready().await;
    sandbox.invoke("a", b"1").await;
    client.reply().await;
    let mut other = Client::connect(sandbox.api).await;
    let half = "POST /2018-06-01/runtime/invocation/a/response HTTP/1.1\r\n\
                Host: a\r\nContent-Length: 10\r\n\r\nhalf";
    other.stream.write_all(half.as_bytes()).await.unwrap();
    other.stream.shutdown().await.unwrap();
    let mut reply = Vec::new();
    other.stream.read_to_end(&mut reply).await.unwrap();
    assert_eq!(client.status("POST", "/invocation/a/response", "2").await, 202);
    assert_eq!(sandbox.result().await, response("2"));
}

#[tokio::test]
async fn a_streamed_answer_is_buffered_and_its_trailers_can_fail_it() {
    let (mut sandbox, mut client) = Sandbox::ready().await;
    for (id, trailers, wanted) in [
        ("a", "", (ResultKind::Response, "hello")),
        (
            "b",
            "Lambda-Runtime-Function-Error-Type: E\r\n\
             Lambda-Runtime-Function-Error-Body: eyJhIjoxfQ==\r\n",
            (ResultKind::Error, "{\"a\":1}"),
        ),
    ] {
        sandbox.invoke(id, b"1").await;
        client.reply().await;
        let streamed = format!(
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: a\r\n\
             Lambda-Runtime-Function-Response-Mode: streaming\r\n\
             Transfer-Encoding: chunked\r\n\
             Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\
             \r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n{trailers}\r\n"
        );
        client.stream.write_all(streamed.as_bytes()).await.unwrap();
        assert_eq!(client.reply().await.0, 202);
        let (head, body) = sandbox.result().await;
        assert_eq!((head.kind, body.as_slice()), (wanted.0, wanted.1.as_bytes()));
        client.ask("GET", "/invocation/next", "").await;
    }
}

#[tokio::test]
async fn connections_are_bounded() {
    let (mut sandbox, mut client) = Sandbox::ready().await;
    let mut open = Vec::new();
    let refused = loop {
        let mut next = Client::connect(sandbox.api).await;
        let asked = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        // One connection too many may be closed before it has spoken.
        drop(next.stream.write_all(asked).await);
        let mut reply = [0; 12];
        if next.stream.read_exact(&mut reply).await.is_err() || &reply[9..] == b"429" {
            break open.len();
        }
        assert_eq!(&reply[9..], b"404");
        open.push(next);
    };
    assert_eq!(refused, 63, "with the runtime's own there are 64");
    sandbox.invoke("a", b"1").await;
    assert_eq!(client.reply().await.0, 200);
}

#[tokio::test]
async fn an_event_outlives_a_poll_whose_connection_broke() {
    let (mut sandbox, client) = Sandbox::ready().await;
    drop(client);
    let mut client = Client::connect(sandbox.api).await;
    // By the time this is answered the agent has noticed the end before it.
    assert_eq!(client.status("GET", "/nowhere", "").await, 404);
    sandbox.invoke("a", b"1").await;
    client.ask("GET", "/invocation/next", "").await;
    assert_eq!(client.reply().await.2, "1");
}

#[tokio::test]
async fn the_newest_poll_gets_the_event() {
    let (mut sandbox, mut first) = Sandbox::ready().await;
    let mut second = Client::connect(sandbox.api).await;
    second.ask("GET", "/invocation/next", "").await;
    assert_eq!(first.reply().await.0, 403);
    sandbox.invoke("a", b"1").await;
    assert_eq!(second.reply().await.2, "1");
}

#[tokio::test]
async fn the_worker_must_keep_to_its_turn() {
    let (mut sandbox, _client) = Sandbox::ready().await;
    sandbox.invoke("a", b"1").await;
    sandbox.invoke("b", b"1").await;
    assert!(matches!(sandbox.ended().await, Err(SessionError::OutOfTurn(_))));
}

#[tokio::test]
async fn a_failed_configuration_is_reported() {
    let mut sandbox = Sandbox::booted(IDLE, false).await;
    sandbox.prepare(None).await;
    assert!(matches!(sandbox.message().await, FromAgent::Prepared { .. }));
    sandbox.configure().await;
    let detail = "configure: no".to_owned();
    assert_eq!(sandbox.message().await, FromAgent::Failed { kind: FailureKind::Setup, detail });
    sandbox.send(&ToAgent::Ping { nonce: 9 }, b"").await;
    assert_eq!(sandbox.message().await, FromAgent::Pong { nonce: 9 });
}
