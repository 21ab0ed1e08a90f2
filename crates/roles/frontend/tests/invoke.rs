//! The invoke path against fakes of assignment and worker.

mod support;

use hearth_services::assignment::Disposition;
use hearth_types::StartKind;
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::client::send;
use support::{ALICE, Stage};

#[tokio::test]
async fn an_event_goes_in_and_its_answer_comes_out() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    alice.create("hello", "echo.it").await;

    let cold = alice.invoke("hello", r#"{"a":1}"#).await;
    assert_eq!((cold.status.as_u16(), &cold.body[..]), (200, &br#"{"a":1}"#[..]));
    assert_eq!(cold.header("x-amz-executed-version"), "$LATEST");
    assert_eq!(cold.header("x-amz-function-error"), "");
    let (kind, stages) =
        hearth_lambda_api::server_timing::parse(cold.header("server-timing")).unwrap();
    assert_eq!((kind, stages.run), (StartKind::Cold, Duration::from_micros(1_250)));

    let warm = alice.invoke_with("hello", &[("x-amz-log-type", "Tail")], "").await;
    assert!(warm.header("server-timing").starts_with("kind;desc=warm"));
    assert_eq!(&warm.body[..], b"{}", "no payload is an empty object");
    assert_eq!(warm.header("x-amz-log-result"), "U1RBUlQKRU5EClJFUE9SVAo=");

    let events = stage.fleet.events.lock();
    assert!(events[0].started.is_some() && events[1].started.is_none());
    assert_eq!(events[0].invoked_arn, "arn:aws:lambda:local:111111111111:function:hello");
    assert_eq!(events[0].request_id.to_string(), cold.header("x-amzn-requestid"));
}

#[tokio::test]
async fn a_functions_own_failures_are_answers() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    let cases = [
        ("handler.error", "ValueError", Some(Disposition::Reusable)),
        ("crash.now", "Runtime.ExitError", Some(Disposition::Discard)),
        ("init.fails", "Runtime.ImportModuleError", None),
        ("init.exits", "Runtime.ExitError", None),
    ];
    for (handler, error_type, disposition) in cases {
        let name = handler.replace('.', "-");
        alice.create(&name, handler).await;
        let answer = alice.invoke(&name, "{}").await;
        assert_eq!(answer.status, 200, "{handler}");
        assert_eq!(answer.header("x-amz-function-error"), "Unhandled");
        assert_eq!(answer.json()["errorType"], error_type);
        let message = match handler {
            "init.exits" => format!(
                "RequestId: {} Error: Runtime exited with error: exit status 1",
                answer.header("x-amzn-requestid")
            ),
            _ => "as asked".to_owned(),
        };
        assert_eq!(answer.json()["errorMessage"], message);
        assert_eq!(stage.fleet.released.lock().drain(..).next().map(|(_, d)| d), disposition);
    }
}

#[tokio::test]
async fn no_capacity_is_a_throttle_and_failed_machinery_hides_its_cause() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    for handler in ["full.account", "full.host"] {
        let name = handler.replace('.', "-");
        alice.create(&name, handler).await;
        let answer = alice.invoke(&name, "{}").await;
        assert_eq!(answer.error(), (429, "TooManyRequestsException"));
        assert_eq!(answer.json()["Reason"], "ConcurrentInvocationLimitExceeded");
        assert_eq!(answer.json()["Type"], "User");
        assert_eq!(answer.header("retry-after"), "1");
    }
    alice.create("vm", "vm.fails").await;
    let answer = alice.invoke("vm", "{}").await;
    assert_eq!(answer.error(), (500, "ServiceException"));
    assert!(!String::from_utf8_lossy(&answer.body).contains("secret internal detail"));
}

#[tokio::test]
async fn a_runtime_without_an_image_says_what_to_do() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    alice.create("old", "image.missing").await;
    let invoked = alice.invoke("old", "{}").await;
    assert_eq!(invoked.error(), (502, "InvalidRuntimeException"));
    let created = alice.create("new", "runtime.unbuilt").await;
    assert_eq!(created.error(), (500, "ServiceException"));
    for answer in [invoked, created] {
        assert_eq!(answer.json()["Type"], "Service");
        assert!(answer.message().contains("no guest image of python3.13"), "{answer:?}");
        assert!(answer.message().contains("`hearth images build`"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_event_that_met_a_dead_sandbox_is_sent_to_another() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    alice.create("once", "gone.once").await;
    assert_eq!(&alice.invoke("once", "7").await.body[..], b"7");
    assert_eq!(stage.fleet.released.lock()[0].1, Disposition::Missing);
    assert_eq!(stage.fleet.released.lock()[1].1, Disposition::Reusable);

    alice.create("always", "gone.always").await;
    let before = stage.fleet.acquires.load(Ordering::SeqCst);
    assert_eq!(alice.invoke("always", "7").await.error(), (500, "ServiceException"));
    assert_eq!(stage.fleet.acquires.load(Ordering::SeqCst) - before, 3, "tries are bounded");
    let released = stage.fleet.released.lock();
    assert!(released[2..].iter().all(|(_, d)| *d == Disposition::Missing));
}

#[tokio::test]
async fn a_worker_that_takes_on_no_more_costs_no_sandbox() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    alice.create("b", "busy.always").await;
    assert_eq!(alice.invoke("b", "7").await.error(), (429, "TooManyRequestsException"));
    assert_eq!(stage.fleet.acquires.load(Ordering::SeqCst), 1);
    assert_eq!(stage.fleet.released.lock()[0].1, Disposition::Reusable);
}

#[tokio::test]
async fn a_panic_inside_gives_the_sandbox_back_for_discard() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    alice.create("p", "panics.inside").await;
    assert_eq!(alice.invoke("p", "{}").await.error(), (500, "ServiceException"));
    while stage.fleet.released.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.fleet.released.lock()[0].1, Disposition::Discard);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_stop_its_invocation() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    alice.create("w", "wait.for").await;
    let path = "/2015-03-31/functions/w/invocations";
    let request = alice.signed("POST", path, &[], "{}".into());
    let leaving = tokio::spawn(send(stage.address, request));
    while stage.fleet.events.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    leaving.abort();
    let _cancelled = leaving.await;
    stage.fleet.gate.add_permits(1);
    while stage.fleet.released.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.fleet.released.lock()[0].1, Disposition::Reusable);
}

#[tokio::test]
async fn shutdown_waits_for_running_invocations() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    alice.create("w", "wait.for").await;
    let path = "/2015-03-31/functions/w/invocations";
    let running = tokio::spawn(send(stage.address, alice.signed("POST", path, &[], "5".into())));
    while stage.fleet.events.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    stage.shutdown.cancel();
    tokio::task::yield_now().await;
    assert!(!stage.served.is_finished());
    stage.fleet.gate.add_permits(1);
    assert_eq!(&running.await.unwrap().body[..], b"5");
    stage.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn bad_invokes_are_refused_in_awss_words() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    alice.create("hello", "echo.it").await;
    let refused = async |headers: &[(&str, &str)], payload: &str| {
        let answer = alice.invoke_with("hello", headers, payload.to_owned()).await;
        (answer.error().0, answer.error().1.to_owned(), answer.message())
    };
    let (status, code, text) = refused(&[], "not json").await;
    assert_eq!((status, code.as_str()), (400, "InvalidRequestContentException"));
    assert!(text.starts_with("Could not parse request body into json: Could not parse payload"));
    let (_, code, _) = refused(&[], "\u{1}").await;
    assert_eq!(code, "InvalidRequestContentException");
    let (_, code, text) = refused(&[("x-amz-client-context", "bm90IGpzb24=")], "{}").await;
    assert_eq!(code, "InvalidRequestContentException");
    assert_eq!(text, "Client context must be a valid Base64-encoded JSON object.");
    let (_, code, _) = refused(&[("x-amz-invocation-type", "Later")], "{}").await;
    assert_eq!(code, "ValidationException");
    let (status, code, _) = refused(&[("x-amz-invocation-type", "Event")], "{}").await;
    assert_eq!((status, code.as_str()), (501, "UnsupportedOperationException"));
    let (status, code, _) = refused(&[], &" ".repeat(6 * 1024 * 1024 + 1)).await;
    assert_eq!((status, code.as_str()), (413, "RequestTooLargeException"));
    assert_eq!(alice.invoke("nobody", "{}").await.error(), (404, "ResourceNotFoundException"));
    assert_eq!(alice.invoke("hello:live", "{}").await.error(), (404, "ResourceNotFoundException"));
    assert!(stage.fleet.events.lock().is_empty(), "none of them reached a worker");

    let dry = alice.invoke_with("hello", &[("x-amz-invocation-type", "DryRun")], "{}").await;
    assert_eq!((dry.status.as_u16(), stage.fleet.acquires.load(Ordering::SeqCst)), (204, 0));
    let context = [("x-amz-client-context", "eyJjdXN0b20iOnt9fQ==")];
    assert_eq!(alice.invoke_with("hello", &context, "{}").await.status, 200);
    let seen = stage.fleet.events.lock()[0].client_context.clone();
    assert_eq!(seen.as_deref(), Some(r#"{"custom":{}}"#));
}
