//! What is logged within a call says which call it was. Alone in its process,
//! because whether a span is wanted is remembered for all of it.

mod support;

use support::{ALICE, Stage};
use tracing::Level;

#[tokio::test]
async fn a_line_within_a_call_names_its_request_function_and_sandbox() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::DEBUG)
        .with_ansi(false)
        .with_writer(log.reopen().unwrap())
        .finish();
    let _listening = tracing::subscriber::set_default(subscriber);
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    alice.create("lost", "gone.always").await;
    let answer = alice.invoke("lost", "{}").await;
    assert_eq!(answer.status, 500);

    let log = std::fs::read_to_string(log.path()).unwrap();
    let line = log.lines().find(|l| l.contains("every sandbox that was tried is gone"));
    let line = line.unwrap_or_else(|| panic!("not logged: {log}"));
    let released = stage.fleet.released.lock();
    let (sandbox, _) = released.last().unwrap();
    let request = answer.header("x-amzn-requestid");
    for wanted in
        [format!("call{{request={request} function=lost "), format!("sandbox={sandbox}}}")]
    {
        assert!(line.contains(&wanted), "no {wanted} in {line}");
    }
}
