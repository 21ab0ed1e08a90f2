//! Who may ask: unsigned, forged and foreign requests.

mod support;

use hearth_services::keys;
use hearth_services::metastore::{MetaStore, Txn};
use hearth_types::AccessKeyId;
use support::client::send;
use support::{ALICE, BOB, Stage};

const FUNCTIONS: &str = "/2015-03-31/functions";

#[tokio::test]
async fn strangers_are_turned_away_in_awss_words() {
    let stage = Stage::start().await;
    let unsigned = http::Request::get(FUNCTIONS).header("host", stage.address.to_string());
    let answer = send(stage.address, unsigned.body(Default::default()).unwrap()).await;
    assert_eq!(answer.error(), (403, "MissingAuthenticationTokenException"));

    let mut mallory = stage.client(ALICE);
    mallory.secret = "a guess".into();
    let answer = mallory.get(FUNCTIONS).await;
    assert_eq!(answer.error(), (403, "InvalidSignatureException"));
    assert!(answer.message().starts_with("The request signature we calculated does not match"));

    for nobody in ["AKIANOBODY".to_owned(), "A".repeat(128), "A".repeat(129), "A".repeat(5000)] {
        mallory.access_key = nobody;
        let answer = mallory.get(FUNCTIONS).await;
        assert_eq!(answer.error(), (403, "UnrecognizedClientException"));
        assert_eq!(answer.message(), "The security token included in the request is invalid.");
    }

    let mut request = stage.client(ALICE).signed("POST", FUNCTIONS, &[], "{}".into());
    *request.body_mut() = "{ }".into();
    assert_eq!(send(stage.address, request).await.error(), (403, "InvalidSignatureException"));
}

#[tokio::test]
async fn accounts_are_walls() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.client(ALICE), stage.client(BOB));
    alice.create("secret", "echo.it").await;
    assert_eq!(alice.invoke("secret", "1").await.status, 200);

    let absent = (404, "ResourceNotFoundException");
    assert_eq!(bob.invoke("secret", "1").await.error(), absent);
    for read in ["", "/configuration", "/versions", "/policy"] {
        assert_eq!(bob.get(&format!("{FUNCTIONS}/secret{read}")).await.error(), absent);
    }
    for own in ["logs", "code"] {
        assert_eq!(bob.get(&format!("/hearth/v1/functions/secret/{own}")).await.error(), absent);
    }
    assert_eq!(bob.send("DELETE", &format!("{FUNCTIONS}/secret"), &[], "").await.error(), absent);
    let update = bob.send("PUT", &format!("{FUNCTIONS}/secret/configuration"), &[], "{}").await;
    assert_eq!(update.error(), absent);
    assert_eq!(bob.get(FUNCTIONS).await.json()["Functions"], serde_json::json!([]));
    assert_eq!(bob.get("/hearth/v1/sandboxes").await.json(), serde_json::json!([]));

    // Naming the owner does not help, and says nothing about what exists.
    for name in ["secret", "no-such-function"] {
        let arn = format!("arn%3Aaws%3Alambda%3Alocal%3A{ALICE}%3Afunction%3A{name}");
        let denied = (403, "AccessDeniedException");
        assert_eq!(bob.invoke(&arn, "1").await.error(), denied);
        assert_eq!(bob.get(&format!("/2017-03-31/tags/{arn}")).await.error(), denied);
    }
    // The same name is two functions.
    assert_eq!(bob.create("secret", "handler.error").await.status, 201);
    assert_eq!(bob.invoke("secret", "1").await.header("x-amz-function-error"), "Unhandled");
    assert_eq!(alice.invoke("secret", "1").await.header("x-amz-function-error"), "");
    assert_eq!(alice.get("/hearth/v1/sandboxes").await.json().as_array().unwrap().len(), 1);
    assert!(stage.fleet.events.lock().len() == 3);
}

#[tokio::test]
async fn a_revoked_key_stops_working() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    assert_eq!(alice.get(FUNCTIONS).await.status, 200);
    let key = keys::access_key(&AccessKeyId(alice.access_key.clone()));
    stage.store.transact(Txn::new().delete(key)).await.unwrap();
    // The watch tells the cache; nothing else does.
    while alice.get(FUNCTIONS).await.status == 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(alice.get(FUNCTIONS).await.error(), (403, "UnrecognizedClientException"));
}

#[tokio::test]
async fn logs_and_health_are_served() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    alice.create("hello", "echo.it").await;
    let chunk = alice.get("/hearth/v1/functions/hello/logs?from=10").await.json();
    assert_eq!(chunk, serde_json::json!({"text": "hello two\n", "next": "20"}));
    let page = async |path: &str| {
        let request = http::Request::get(path).header("host", "x");
        send(stage.address, request.body(Default::default()).unwrap()).await.status.as_u16()
    };
    assert_eq!((page("/hearth/v1/health").await, page("/hearth/v1/ready").await), (200, 200));
    stage.is_ready.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!((page("/hearth/v1/health").await, page("/hearth/v1/ready").await), (200, 503));
}
