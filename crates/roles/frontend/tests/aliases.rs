//! Functions by the names of their aliases.

mod support;

use hearth_services::keys;
use hearth_services::metastore::{MetaStore, Txn};
use hearth_types::{FunctionVersion, RevisionId, State, Version};
use serde_json::{Value, json};
use support::client::{Answer, Client};
use support::{ALICE, Stage};

const HELLO: &str = "/2015-03-31/functions/hello";

/// `hello` with versions 1 and 2.
async fn published(stage: &Stage) -> Client {
    let alice = stage.client(ALICE);
    alice.create("hello", "echo.it").await;
    for _ in 1..=2 {
        alice.send("POST", &format!("{HELLO}/versions"), &[], "{}").await;
    }
    alice
}

async fn create(alice: &Client, body: Value) -> Answer {
    alice.send("POST", &format!("{HELLO}/aliases"), &[], body.to_string()).await
}

async fn update(alice: &Client, body: Value) -> Answer {
    alice.send("PUT", &format!("{HELLO}/aliases/live"), &[], body.to_string()).await
}

async fn served(alice: &Client) -> String {
    let answer = alice.invoke("hello:live", "1").await;
    assert_eq!(answer.status, 200, "{}", answer.message());
    answer.header("x-amz-executed-version").to_owned()
}

#[tokio::test]
async fn an_alias_is_seen_as_soon_as_it_is_acknowledged() {
    let stage = Stage::start().await;
    let alice = published(&stage).await;
    let arn = "arn:aws:lambda:local:111111111111:function:hello:live";
    let unknown = alice.get(&format!("{HELLO}/aliases/live")).await;
    assert_eq!(unknown.error(), (404, "ResourceNotFoundException"));
    assert_eq!(unknown.message(), format!("Cannot find alias arn: {arn}"));
    assert_eq!(alice.invoke("hello:live", "1").await.error(), (404, "ResourceNotFoundException"));

    let made = create(&alice, json!({"Name": "live", "FunctionVersion": "1"})).await;
    assert_eq!(made.status, 201);
    let revision = made.json()["RevisionId"].clone();
    let expected = json!({
        "AliasArn": arn, "Name": "live", "FunctionVersion": "1", "Description": "",
        "RevisionId": revision,
    });
    assert_eq!(made.json(), expected);
    assert_eq!(alice.get(&format!("{HELLO}/aliases/live")).await.json(), expected);
    assert_eq!(alice.get(&format!("{HELLO}/aliases")).await.json(), json!({"Aliases": [expected]}));
    let again = create(&alice, json!({"Name": "live", "FunctionVersion": "1"})).await;
    assert_eq!(again.error(), (409, "ResourceConflictException"));
    assert_eq!(again.message(), format!("Alias already exists: {arn}"));

    for version in ["2", "1", "$LATEST", "2"] {
        update(&alice, json!({"FunctionVersion": version})).await;
        assert_eq!(served(&alice).await, version);
    }
    assert_eq!(stage.fleet.events.lock().last().unwrap().invoked_arn, arn);
    // Every way to name it.
    for form in [arn.to_owned(), "111111111111:function:hello:live".to_owned()] {
        assert_eq!(alice.invoke(&form, "1").await.header("x-amz-executed-version"), "2");
    }
    let found = alice.get(&format!("{HELLO}?Qualifier=live")).await.json();
    let configuration = &found["Configuration"];
    assert_eq!(
        (&configuration["FunctionArn"], &configuration["Version"]),
        (&json!(arn), &json!("2"))
    );
    let found = alice.get(&format!("{HELLO}/configuration?Qualifier=live")).await.json();
    assert_eq!(found, *configuration);

    let deleted = alice.send("DELETE", &format!("{HELLO}/aliases/live"), &[], "").await;
    assert_eq!(deleted.status, 204);
    assert_eq!(alice.invoke("hello:live", "1").await.error(), (404, "ResourceNotFoundException"));
}

#[tokio::test]
async fn weights_share_the_invokes() {
    let stage = Stage::start().await;
    let alice = published(&stage).await;
    let weights = |share: f64| json!({"AdditionalVersionWeights": {"2": share}});
    let body = json!({"Name": "live", "FunctionVersion": "1", "RoutingConfig": weights(0.5)});
    let made = create(&alice, body).await;
    assert_eq!(made.json()["RoutingConfig"], weights(0.5));
    let mut second = 0;
    for _ in 0..200 {
        second += usize::from(served(&alice).await == "2");
    }
    // Out of 200 fair coins, fewer than 50 heads fall once in 10^12 times.
    assert!((50..=150).contains(&second), "{second}");
    for (share, version) in [(0.0, "1"), (1.0, "2")] {
        update(&alice, json!({"RoutingConfig": weights(share)})).await;
        for _ in 0..20 {
            assert_eq!(served(&alice).await, version);
        }
    }
    let none = update(&alice, json!({"RoutingConfig": {}})).await;
    assert_eq!(none.json().get("RoutingConfig"), None);
    assert_eq!(served(&alice).await, "1");
}

/// Sets the state of version 2, as control's builder does.
async fn set(stage: &Stage, state: State) {
    let function = "hello".parse().unwrap();
    let key = keys::version(&ALICE.parse().unwrap(), &function, Version::Published(2));
    let found = stage.store.get(&key).await.unwrap().unwrap();
    let mut version: FunctionVersion = keys::decode(&found.value).unwrap();
    version.state = state;
    version.key.revision = RevisionId::new();
    stage.store.transact(Txn::new().put(key, keys::encode(&version))).await.unwrap();
}

#[tokio::test]
async fn the_version_before_serves_until_the_new_one_is_ready() {
    let stage = Stage::start().await;
    let alice = published(&stage).await;
    set(&stage, State::Pending).await;
    create(&alice, json!({"Name": "live", "FunctionVersion": "1"})).await;
    update(&alice, json!({"FunctionVersion": "2"})).await;
    assert_eq!(alice.get(&format!("{HELLO}/aliases/live")).await.json()["FunctionVersion"], "2");
    let state = alice.get(&format!("{HELLO}/configuration?Qualifier=live")).await.json();
    assert_eq!((&state["Version"], &state["State"]), (&json!("2"), &json!("Pending")));
    for _ in 0..5 {
        assert_eq!(served(&alice).await, "1");
    }
    set(&stage, State::Active).await;
    assert_eq!(served(&alice).await, "2", "seen at once");

    // One that nothing was before says what it waits for.
    set(&stage, State::Pending).await;
    create(&alice, json!({"Name": "new", "FunctionVersion": "2"})).await;
    let refused = async {
        loop {
            // Until the watch tells what only this test does to an active version.
            let answer = alice.invoke("hello:new", "1").await;
            if answer.status != 200 {
                return answer;
            }
        }
    };
    let refused = refused.await;
    assert_eq!(refused.error(), (409, "ResourceConflictException"));
    assert!(refused.message().ends_with("following state: Pending"));
    set(&stage, State::Failed).await;
    while served(&alice).await != "1" {}
}

#[tokio::test]
async fn bad_aliases_are_refused() {
    let stage = Stage::start().await;
    let alice = published(&stage).await;
    for (body, code) in [
        (json!({"Name": "7", "FunctionVersion": "1"}), "ValidationException"),
        (json!({"Name": "live"}), "ValidationException"),
        (
            json!({"Name": "live", "FunctionVersion": "1", "RoutingConfig":
                {"AdditionalVersionWeights": {"2": 2}}}),
            "ValidationException",
        ),
        (json!({"Name": 7, "FunctionVersion": "1"}), "SerializationException"),
    ] {
        let refused = create(&alice, body.clone()).await;
        assert_eq!(refused.error(), (400, code), "{body}");
    }
    let of_version = alice.send("POST", &format!("{HELLO}:1/aliases"), &[], "{}").await;
    assert_eq!(of_version.error(), (400, "InvalidParameterValueException"));
    let nobody = alice.get("/2015-03-31/functions/nobody/aliases").await;
    assert_eq!(nobody.error(), (404, "ResourceNotFoundException"));
    assert_eq!(
        nobody.message(),
        "Function not found: arn:aws:lambda:local:111111111111:function:nobody"
    );
}
