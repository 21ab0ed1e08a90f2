//! Versions that are being made, or could not be.

mod support;

use hearth_services::keys;
use hearth_services::metastore::{MetaStore, Txn};
use hearth_types::{FunctionVersion, RevisionId, SnapshotId, State, StateReasonCode, Version};
use serde_json::json;
use std::sync::atomic::Ordering;
use support::{ALICE, Stage};

const FUNCTIONS: &str = "/2015-03-31/functions";

/// Changes the stored record of version 1 of `hello`, as control's builder does.
async fn change(stage: &Stage, change: impl FnOnce(&mut FunctionVersion)) {
    let function = "hello".parse().unwrap();
    let key = keys::version(&ALICE.parse().unwrap(), &function, Version::Published(1));
    let found = stage.store.get(&key).await.unwrap().unwrap();
    let mut version: FunctionVersion = keys::decode(&found.value).unwrap();
    change(&mut version);
    version.key.revision = RevisionId::new();
    stage.store.transact(Txn::new().put(key, keys::encode(&version))).await.unwrap();
}

#[tokio::test]
async fn a_pending_version_is_refused_until_the_moment_it_is_active() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    alice.create("hello", "echo.it").await;
    let on = json!({"SnapStart": {"ApplyOn": "PublishedVersions"}}).to_string();
    let updated = alice.send("PUT", &format!("{FUNCTIONS}/hello/configuration"), &[], on).await;
    let unready = json!({"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"});
    assert_eq!(updated.json()["SnapStart"], unready);
    alice.send("POST", &format!("{FUNCTIONS}/hello/versions"), &[], "{}").await;
    let configuration =
        async || alice.get(&format!("{FUNCTIONS}/hello/configuration?Qualifier=1")).await.json();
    for round in 0..20 {
        change(&stage, |version| {
            version.state = State::Pending;
            version.snapshot = None;
        })
        .await;
        let acquired = stage.fleet.acquires.load(Ordering::SeqCst);
        let refused = loop {
            // The watch may tell later that it is pending again: only in this test.
            let answer = alice.invoke("hello:1", "1").await;
            if answer.status != 200 {
                break answer;
            }
        };
        assert_eq!(refused.error(), (409, "ResourceConflictException"));
        assert_eq!(
            refused.message(),
            "The operation cannot be performed at this time. The function is currently in the \
             following state: Pending"
        );
        if round == 0 {
            assert_eq!(stage.fleet.acquires.load(Ordering::SeqCst), acquired);
        }
        let pending = configuration().await;
        assert_eq!((&pending["State"], &pending["SnapStart"]), (&json!("Pending"), &unready));
        assert_eq!(pending["StateReason"], "The function is being created.");
        assert_eq!(pending["StateReasonCode"], "Creating");
        assert_eq!(alice.invoke("hello", "1").await.status, 200, "$LATEST is not touched");

        change(&stage, |version| {
            version.state = State::Active;
            version.snapshot = Some(SnapshotId::new());
        })
        .await;
        let active = alice.invoke("hello:1", "1").await;
        assert_eq!(active.status, 200, "seen at once");
        assert_eq!(active.header("x-amz-executed-version"), "1");
    }
    let active = configuration().await;
    let ready = json!({"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"});
    assert_eq!((&active["State"], &active["SnapStart"]), (&json!("Active"), &ready));
    assert_eq!(active.get("StateReason"), None);
}

#[tokio::test]
async fn a_failed_version_is_refused_and_says_why_where_it_is_described() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    alice.create("hello", "echo.it").await;
    alice.send("POST", &format!("{FUNCTIONS}/hello/versions"), &[], "{}").await;
    change(&stage, |version| {
        version.state = State::Failed;
        version.state_reason = Some("no module named x".into());
        version.state_reason_code = Some(StateReasonCode::FunctionError);
    })
    .await;
    let refused = alice.invoke("hello:1", "1").await;
    assert_eq!(refused.error(), (409, "ResourceConflictException"));
    assert!(refused.message().ends_with("following state: Failed"), "{}", refused.message());
    assert_eq!(alice.invoke("hello", "1").await.status, 200);
    let found = alice.get(&format!("{FUNCTIONS}/hello?Qualifier=1")).await.json();
    let found = &found["Configuration"];
    assert_eq!(found["StateReason"], "no module named x");
    assert_eq!(found["StateReasonCode"], "FunctionError");
}
