//! Functions over their life, and what is refused on the way.

mod support;

use serde_json::{Value, json};
use support::client::{Client, function};
use support::{ALICE, Stage};

const FUNCTIONS: &str = "/2015-03-31/functions";

async fn put(client: &Client, path: &str, body: Value) -> support::client::Answer {
    client.send("PUT", &format!("{FUNCTIONS}/{path}"), &[], body.to_string()).await
}

#[tokio::test]
async fn a_function_lives_and_dies() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    let created = alice.create("hello", "echo.it").await;
    assert_eq!(created.status, 201);
    let json = created.json();
    assert_eq!(json["FunctionArn"], "arn:aws:lambda:local:111111111111:function:hello");
    for (member, value) in [
        ("Version", json!("$LATEST")),
        ("PackageType", json!("Zip")),
        ("Architectures", json!(["x86_64"])),
        ("MemorySize", json!(128)),
        ("Timeout", json!(3)),
        ("EphemeralStorage", json!({"Size": 512})),
        ("TracingConfig", json!({"Mode": "PassThrough"})),
        ("SnapStart", json!({"ApplyOn": "None", "OptimizationStatus": "Off"})),
        ("LoggingConfig", json!({"LogFormat": "Text", "LogGroup": "/aws/lambda/hello"})),
    ] {
        assert_eq!(json[member], value, "{member}");
    }
    assert_eq!(alice.create("hello", "echo.it").await.error(), (409, "ResourceConflictException"));
    let full = alice.create("full", "storage.full").await;
    assert_eq!(full.error(), (400, "CodeStorageExceededException"));
    assert_eq!(alice.invoke("hello", "1").await.status, 200);

    // What is acknowledged is seen by the very next call.
    let updated = put(&alice, "hello/configuration", json!({"Handler": "handler.error"})).await;
    assert_eq!(updated.json()["Handler"], "handler.error");
    assert_eq!(alice.invoke("hello", "1").await.header("x-amz-function-error"), "Unhandled");
    let stale = json!({"RevisionId": json["RevisionId"], "Description": "x"});
    let refused = put(&alice, "hello/configuration", stale).await;
    assert_eq!(refused.error(), (412, "PreconditionFailedException"));

    let path = format!("{FUNCTIONS}/hello/versions");
    let published = alice.send("POST", &path, &[], "{}").await;
    assert_eq!((published.status.as_u16(), &published.json()["Version"]), (201, &json!("1")));
    put(&alice, "hello/configuration", json!({"Handler": "echo.it"})).await;
    let old = alice.invoke("hello:1", "1").await;
    assert_eq!(old.header("x-amz-executed-version"), "1");
    assert_eq!(old.header("x-amz-function-error"), "Unhandled");
    assert_eq!(alice.invoke("hello", "1").await.header("x-amz-function-error"), "");

    assert_eq!(alice.send("DELETE", &format!("{FUNCTIONS}/hello"), &[], "").await.status, 204);
    assert_eq!(alice.invoke("hello", "1").await.error(), (404, "ResourceNotFoundException"));
    assert_eq!(alice.invoke("hello:1", "1").await.error(), (404, "ResourceNotFoundException"));
}

#[tokio::test]
async fn the_code_link_leads_to_the_code() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    alice.create("hello", "echo.it").await;
    let found = alice.get(&format!("{FUNCTIONS}/hello")).await.json();
    let link = found["Code"]["Location"].as_str().unwrap().to_owned();
    let path = link.strip_prefix(&format!("http://{}", stage.address)).unwrap();
    let get = async |path: String| {
        let host = stage.address.to_string();
        let request = http::Request::get(path).header("host", host).body(Default::default());
        support::client::send(stage.address, request.unwrap()).await
    };
    let zip = get(path.to_owned()).await;
    assert!(zip.status == 200 && zip.body.starts_with(b"PK"));
    let forged = get(path.replace("/hello/", "/other/")).await;
    assert_eq!(forged.error(), (403, "InvalidSignatureException"));
}

#[tokio::test]
async fn listings_are_paged() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    for n in 0..5 {
        alice.create(&format!("f{n}"), "echo.it").await;
    }
    let (mut names, mut marker) = (Vec::new(), String::new());
    loop {
        let page = alice.get(&format!("{FUNCTIONS}?MaxItems=2&Marker={marker}")).await.json();
        let items = page["Functions"].as_array().unwrap().clone();
        assert!(items.len() <= 2);
        names.extend(items.iter().map(|f| f["FunctionName"].as_str().unwrap().to_owned()));
        match page["NextMarker"].as_str() {
            Some(next) => marker = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(names, ["f0", "f1", "f2", "f3", "f4"]);
}

#[tokio::test]
async fn tags_are_kept_on_the_function() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    alice.create("hello", "echo.it").await;
    let path = "/2017-03-31/tags/arn%3Aaws%3Alambda%3Alocal%3A111111111111%3Afunction%3Ahello";
    let body = json!({"Tags": {"a": "1", "b": "2"}}).to_string();
    assert_eq!(alice.send("POST", path, &[], body).await.status, 204);
    let removed = alice.send("DELETE", &format!("{path}?tagKeys=a&tagKeys=zz"), &[], "").await;
    assert_eq!(removed.status, 204);
    assert_eq!(alice.get(path).await.json(), json!({"Tags": {"b": "2"}}));
    let qualified = format!("{path}%3A1");
    assert_eq!(alice.get(&qualified).await.error(), (400, "InvalidParameterValueException"));
    let bad = alice.get("/2017-03-31/tags/hello").await;
    assert_eq!(bad.error(), (400, "ValidationException"));
}

#[tokio::test]
async fn bad_creates_are_refused_and_leave_nothing() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    let cases = [
        (json!({"MemorySize": 100}), "ValidationException", "at 'memorySize'"),
        (json!({"MemorySize": 20000}), "ValidationException", "at 'memorySize'"),
        (json!({"Timeout": 901}), "ValidationException", "at 'timeout'"),
        (json!({"FunctionName": "x".repeat(200)}), "ValidationException", "at 'functionName'"),
        (json!({"FunctionName": null}), "ValidationException", "Value null at 'functionName'"),
        (json!({"Role": "r1"}), "ValidationException", "Value 'r1' at 'role'"),
        (json!({"Handler": "h".repeat(129)}), "ValidationException", "at 'handler'"),
        (json!({"Handler": null}), "InvalidParameterValueException", "Runtime and Handler are"),
        (json!({"Runtime": "cobol"}), "InvalidParameterValueException", "Value cobol at 'runtime'"),
        (json!({"MemorySize": "big"}), "SerializationException", ""),
        (json!({"Code": {}}), "InvalidParameterValueException", "provide a source"),
        (json!({"Code": {"ZipFile": "!!"}}), "SerializationException", "base64"),
        (json!({"Code": {"S3Bucket": "b"}}), "InvalidParameterValueException", "S3"),
        (json!({"PackageType": "Image"}), "InvalidParameterValueException", "PackageType Image"),
        (json!({"Architectures": ["arm64"]}), "InvalidParameterValueException", "arm64"),
        (json!({"Architectures": ["X86_64"]}), "ValidationException", "'[X86_64]'"),
        (json!({"VpcConfig": {"SubnetIds": ["s"]}}), "InvalidParameterValueException", "VpcConfig"),
        (json!({"Layers": ["l"]}), "InvalidParameterValueException", "Layers"),
        (
            json!({"SnapStart": {"ApplyOn": "Sometimes"}}),
            "ValidationException",
            "Value 'Sometimes' at 'snapStart.applyOn' failed to satisfy constraint: Member must \
             satisfy enum value set: [PublishedVersions, None]",
        ),
        (
            json!({"DurableConfig": {"ExecutionTimeout": 1}}),
            "InvalidParameterValueException",
            "DurableConfig",
        ),
        (json!({"KMSKeyArn": "arn:aws:kms:x"}), "InvalidParameterValueException", "KMSKeyArn"),
        (json!({"TracingConfig": {"Mode": "Active"}}), "InvalidParameterValueException", "Tracing"),
        (
            json!({"Environment": {"Variables": {"AWS_REGION": "x"}}}),
            "InvalidParameterValueException",
            "AWS_REGION",
        ),
        (
            json!({"Environment": {"Variables": {"1x": "x"}}}),
            "ValidationException",
            "environment.variables",
        ),
        (
            json!({"Environment": {"Variables": {"AA": "x".repeat(4096)}}}),
            "InvalidParameterValueException",
            "4KB",
        ),
        (
            json!({"EphemeralStorage": {"Size": 100}}),
            "ValidationException",
            "ephemeralStorage.size",
        ),
        (json!({"Tags": {"aws:x": "y"}}), "InvalidParameterValueException", "aws:"),
    ];
    for (change, code, text) in cases {
        let mut body = function("victim", "echo.it");
        for (member, value) in change.as_object().unwrap() {
            body[member] = value.clone();
        }
        let answer = alice.send("POST", FUNCTIONS, &[], body.to_string()).await;
        assert_eq!(answer.error(), (400, code), "{change}: {}", answer.message());
        assert!(answer.message().contains(text), "{change}: {}", answer.message());
    }
    let nonsense = alice.send("POST", FUNCTIONS, &[], "{").await;
    assert_eq!(nonsense.error(), (400, "InvalidRequestContentException"));
    let listed = alice.get(FUNCTIONS).await;
    assert_eq!(listed.json()["Functions"], json!([]));

    // What asks for nothing, and members nobody knows, are no trouble.
    let mut body = function("fine", "echo.it");
    for member in ["Layers", "FileSystemConfigs"] {
        body[member] = json!([]);
    }
    body["VpcConfig"] = json!({"SubnetIds": [], "SecurityGroupIds": []});
    body["DeadLetterConfig"] = Value::Null;
    body["KMSKeyArn"] = json!("");
    body["SomethingNew"] = json!({"a": [1]});
    assert_eq!(alice.send("POST", FUNCTIONS, &[], body.to_string()).await.status, 201);
}

#[tokio::test]
async fn known_operations_that_are_missing_say_so() {
    let stage = Stage::start().await;
    let alice = stage.client(ALICE);
    let answer = alice.get("/2018-10-31/layers").await;
    assert_eq!(answer.error(), (501, "UnsupportedOperationException"));
    assert_eq!(answer.message(), "Hearth does not implement ListLayers yet.");
    assert_eq!(alice.get("/nothing/here").await.error(), (404, "UnknownOperationException"));
    assert!(!answer.header("x-amzn-requestid").is_empty());

    alice.create("hello", "echo.it").await;
    let concurrency = alice.get("/2019-09-30/functions/hello/concurrency").await;
    assert_eq!((concurrency.status.as_u16(), concurrency.json()), (200, json!({})));
    let policy = alice.get(&format!("{FUNCTIONS}/hello/policy")).await;
    assert_eq!(policy.error(), (404, "ResourceNotFoundException"));
    let settings = alice.get("/2016-08-19/account-settings").await.json();
    assert_eq!(settings["AccountUsage"]["FunctionCount"], 1);
}
