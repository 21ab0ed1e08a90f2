//! What the agent does before and after it is captured.

use super::harness::{Client, IDLE, Sandbox, identity};
use crate::session::SessionError;
use hearth_agent_proto::{EarlyStart, FailureKind, FromAgent, ResultHead, ResultKind, ToAgent};

/// A sandbox whose runtime, played by the test, waits to be captured.
async fn capturable() -> (Sandbox, Client) {
    let mut sandbox = Sandbox::running(IDLE).await;
    let mut client = Client::connect(sandbox.api).await;
    client.ask("GET", "/restore/next", "").await;
    assert!(matches!(sandbox.message().await, FromAgent::InitDone { .. }));
    (sandbox, client)
}

async fn restore(sandbox: &mut Sandbox, hostname: &str) {
    sandbox.send(&ToAgent::Restore(Box::new(identity(hostname))), b"").await;
}

#[tokio::test]
async fn a_runtime_that_started_early_is_given_its_functions_environment() {
    let mut sandbox = Sandbox::booted("echo prepared for $WHAT\nexec sleep 1000", true).await;
    let environment = vec![("WHAT".into(), "anything".into())];
    sandbox.prepare(Some(EarlyStart { environment, line: false })).await;
    let mut client = Client::connect(sandbox.api).await;
    client.ask_for("GET", "/hearth/environment", "").await;
    assert!(matches!(sandbox.message().await, FromAgent::Prepared { .. }));
    sandbox.configure().await;
    assert!(matches!(sandbox.message().await, FromAgent::Configured { .. }));
    let (status, _, body) = client.reply().await;
    assert_eq!((status, body.as_str()), (200, "{\"GREETING\":\"hello\"}"));
    // It is asked for once.
    client.ask_for("GET", "/hearth/environment", "").await;
    assert_eq!(client.reply().await.0, 403);
    client.ask("GET", "/invocation/next", "").await;
    assert!(matches!(sandbox.message().await, FromAgent::InitDone { .. }));
    while sandbox.log.is_empty() {
        sandbox.send(&ToAgent::Ping { nonce: 1 }, b"").await;
        sandbox.message().await;
    }
    assert_eq!(sandbox.log, b"prepared for anything\n");
}

#[tokio::test]
async fn hooks_run_in_the_clone_before_its_first_event() {
    let (mut sandbox, mut client) = capturable().await;
    restore(&mut sandbox, "clone").await;
    assert_eq!(client.reply().await.0, 200);
    sandbox.invoke("a", b"1").await;
    client.ask("GET", "/invocation/next", "").await;
    assert!(matches!(sandbox.message().await, FromAgent::Restored { .. }));
    assert_eq!(client.reply().await.2, "1");
}

#[tokio::test]
async fn a_failed_hook_is_reported() {
    let (mut sandbox, mut client) = capturable().await;
    restore(&mut sandbox, "clone").await;
    client.reply().await;
    assert_eq!(client.status("POST", "/restore/error", "{}").await, 202);
    let head = ResultHead { kind: ResultKind::Error, body_bytes: 2 };
    assert_eq!(sandbox.message().await, FromAgent::RestoreFailed(head));
    assert_eq!(sandbox.bulk(2).await, b"{}");
}

#[tokio::test]
async fn a_runtime_without_hooks_is_restored_at_once() {
    let (mut sandbox, mut client) = Sandbox::ready().await;
    restore(&mut sandbox, "clone").await;
    assert!(matches!(sandbox.message().await, FromAgent::Restored { .. }));
    sandbox.invoke("a", b"1").await;
    assert_eq!(client.reply().await.2, "1");
}

#[tokio::test]
async fn a_clone_that_cannot_be_made_unique_is_of_no_use() {
    let (mut sandbox, _client) = capturable().await;
    restore(&mut sandbox, "").await;
    let failed = sandbox.message().await;
    assert!(matches!(failed, FromAgent::Failed { kind: FailureKind::Setup, .. }), "{failed:?}");
}

#[tokio::test]
async fn the_worker_keeps_to_the_order() {
    let mut sandbox = Sandbox::booted(IDLE, true).await;
    sandbox.configure().await;
    assert!(matches!(sandbox.ended().await, Err(SessionError::OutOfTurn(_))));
    let mut sandbox = Sandbox::booted(IDLE, true).await;
    restore(&mut sandbox, "clone").await;
    assert!(matches!(sandbox.ended().await, Err(SessionError::OutOfTurn(_))));
}
