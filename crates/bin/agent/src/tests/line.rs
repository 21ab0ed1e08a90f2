//! A runtime that takes events from its line: a shell script that knows how.

use super::harness::{Sandbox, identity};
use hearth_agent_proto::{EarlyStart, ExitStatus, FromAgent, ResultKind, ToAgent};
use hearth_types::INVOKE_RESPONSE_BYTES_MAX;

/// Asks over the line; afterwards `words` is what the answer begins with, and `body`
/// the rest of it.
const ASK: &str = r#"
LANG=C
IFS=, read source sink <<< "$HEARTH_LINE"
ask() {
    echo "$1" >&$sink
    IFS= read -r -u $source head || exit 7
    words=($head)
    context=${words[1]:-0}
    body=
    [ "${words[*]}" = 0 ] || read -r -N $((words[0] + context)) -u $source body
}
answer() { printf '%s %s %s\n%s' "$1" "${words[2]}" "${#2}" "$2" >&$sink; }
"#;

/// A sandbox whose runtime runs `script`, once it is to become its function.
async fn started(script: &str) -> Sandbox {
    let mut sandbox = Sandbox::booted(&format!("{ASK}{script}"), true).await;
    sandbox.prepare(Some(EarlyStart { environment: Vec::new(), line: true })).await;
    sandbox
}

/// A sandbox whose runtime has become its function, and has asked for what comes then.
async fn initialised(script: &str) -> Sandbox {
    let mut sandbox = started(&format!("ask environment; environment=$body\n{script}")).await;
    assert!(matches!(sandbox.message().await, FromAgent::Prepared { .. }));
    sandbox.configure().await;
    assert!(matches!(sandbox.message().await, FromAgent::Configured { .. }));
    let done = sandbox.message().await;
    assert!(matches!(done, FromAgent::InitDone { .. }), "{done:?}");
    sandbox
}

#[tokio::test]
async fn a_runtime_becomes_its_function_and_answers_its_events() {
    let mut sandbox = initialised(
        r#"while ask next; do answer response "$environment ${words[*]:1} $body"; done"#,
    )
    .await;
    for id in ["a", "b"] {
        sandbox.invoke(id, b"[1]").await;
        let (head, body) = sandbox.result().await;
        assert_eq!(head.kind, ResultKind::Response);
        let said = String::from_utf8(body).unwrap();
        let (environment, rest) = said.split_once(" 8 ").unwrap();
        assert_eq!(environment, "{\"GREETING\":\"hello\"}");
        assert!(rest.starts_with(&format!("{id} ")), "{rest}");
        // The context comes before the event.
        let end = "arn:aws:lambda:local:1:function:f Root=1-2-3 {\n\"a\":1}[1]";
        assert!(rest.ends_with(end), "{rest}");
    }
}

#[tokio::test]
async fn what_is_longer_than_a_pipe_comes_whole() {
    let mut sandbox = initialised(r#"while ask next; do answer response "$body"; done"#).await;
    let event = vec![b'7'; 300_000];
    for _ in 0..2 {
        sandbox.invoke("a", &event).await;
        let (_, body) = sandbox.result().await;
        assert!(body.ends_with(&event), "{}", body.len());
    }
}

#[tokio::test]
async fn a_failure_is_told_from_an_answer() {
    let mut sandbox = initialised("ask next; answer error '{}'; ask next").await;
    sandbox.invoke("a", b"1").await;
    let (head, body) = sandbox.result().await;
    assert_eq!((head.kind, body.as_slice()), (ResultKind::Error, b"{}".as_slice()));
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_dropped_and_the_next_one_taken() {
    let bytes = INVOKE_RESPONSE_BYTES_MAX as u64 + 1;
    let mut sandbox = initialised(&format!(
        "ask next; echo \"response ${{words[2]}} {bytes}\" >&$sink
         head -c {bytes} /dev/zero >&$sink
         ask next; answer response small; ask next"
    ))
    .await;
    sandbox.invoke("a", b"1").await;
    assert_eq!(sandbox.result().await.0.kind, ResultKind::TooLarge { bytes });
    sandbox.invoke("b", b"1").await;
    assert_eq!(sandbox.result().await.1, b"small");
}

#[tokio::test]
async fn hooks_run_in_the_clone_before_its_first_event() {
    let mut sandbox =
        initialised("ask restore; hooked=yes; ask next; answer response $hooked; ask next").await;
    sandbox.send(&ToAgent::Restore(Box::new(identity("clone"))), b"").await;
    assert!(matches!(sandbox.message().await, FromAgent::Restored { .. }));
    sandbox.invoke("a", b"1").await;
    assert_eq!(sandbox.result().await.1, b"yes");
}

#[tokio::test]
async fn nonsense_and_what_is_out_of_turn_cost_the_line() {
    let endless = "head -c 1000000 /dev/zero >&$sink 2>/dev/null; ask next";
    for said in [
        "ask dance",
        "ask ''",
        "ask 'next please'",
        "ask 'response a'",
        "ask 'response a many'",
        "ask 'response a 1'",
        "ask 'error a -1'",
        endless,
    ] {
        let mut sandbox = started(&format!("trap '' PIPE; {said}; exit 8")).await;
        let ended = sandbox.message().await;
        let status = ExitStatus::Exited(7);
        assert!(
            matches!(&ended, FromAgent::RuntimeExited { status: s, .. } if *s == status),
            "{said}: {ended:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_to_another_event_costs_the_line() {
    let mut sandbox = initialised("ask next; words[2]=b; answer response 1; ask next").await;
    sandbox.invoke("a", b"1").await;
    let ended = sandbox.message().await;
    assert!(matches!(ended, FromAgent::RuntimeExited { in_event: true, .. }), "{ended:?}");
}
