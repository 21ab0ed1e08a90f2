//! A function's life through the Lambda API, as `aws-sdk-lambda` sees it: made,
//! invoked, changed, published, listed, tagged, deleted; and what is refused.

use anyhow::{Context, Result, ensure};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, InvocationType, LastUpdateStatus, State};
use hearth_e2e::{
    Account, Draft, ErrorSeen, Function, Server, ServerCase, ServerOptions, refused, run_on,
    zip_of, zip_of_entries,
};
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;

/// Largest payload of an invoke.
const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

fn main() -> ExitCode {
    let cases = vec![
        ServerCase::new("a_function_lives_its_whole_life", a_function_lives_its_whole_life),
        ServerCase::new("listings_page_through_everything", listings_page_through_everything),
        ServerCase::new("what_is_wrong_is_refused", what_is_wrong_is_refused),
        ServerCase::new("bad_packages_leave_nothing", bad_packages_leave_nothing),
        ServerCase::new("bad_invokes_are_refused", bad_invokes_are_refused),
        ServerCase::new("strangers_are_refused", strangers_are_refused),
    ];
    run_on(ServerOptions::default(), 3, cases)
}

/// A handler that says which generation of the code it is, and what it sees.
fn generation(n: u32) -> String {
    format!(
        "import os\n\
         def handler(event, context):\n\
         \x20   return {{'generation': {n}, 'event': event, 'greeting': os.environ.get('GREETING'),\n\
         \x20           'memory': context.memory_limit_in_mb, 'version': context.function_version}}\n"
    )
}

async fn a_function_lives_its_whole_life(server: Arc<Server>) -> Result<()> {
    let account = server.default_account()?;
    let client = &account.client;

    // Made.
    let made = Draft::python("life", &generation(1)).request(&account).send().await?;
    ensure!(made.function_name() == Some("life") && made.version() == Some("$LATEST"));
    ensure!(made.function_arn().is_some_and(|arn| arn.ends_with(":function:life")), "{made:?}");
    ensure!(made.code_sha256().is_some_and(|hash| hash.len() == 44), "{made:?}");
    let function = Function { account: account.clone(), name: "life".into() };
    function.wait_active().await?;
    let got = client.get_function().function_name("life").send().await?;
    let configuration = got.configuration().context("a configuration")?;
    ensure!(configuration.state() == Some(&State::Active));
    ensure!(configuration.last_update_status() == Some(&LastUpdateStatus::Successful));
    ensure!(configuration.code_sha256() == made.code_sha256());

    // Invoked.
    let answer = function.invoke(&json!({"text": "grüß"})).await?;
    ensure!(answer.version.as_deref() == Some("$LATEST"), "{answer:?}");
    let said = answer.json()?;
    ensure!(said["generation"] == 1 && said["event"] == json!({"text": "grüß"}), "{said}");

    // New code serves from the moment that the update is in effect.
    for n in 2..=3 {
        function.update_python(&generation(n)).await?;
        let said = function.call(&json!({})).await?;
        ensure!(said["generation"] == n, "stale code: {said}");
    }

    // So does a new configuration.
    let environment = Environment::builder().variables("GREETING", "hello").build();
    let update = client.update_function_configuration().function_name("life");
    update.environment(environment).memory_size(512).timeout(7).send().await?;
    function.wait_updated().await?;
    let said = function.call(&json!({})).await?;
    ensure!(said["greeting"] == "hello", "{said}");
    // awslambdaric passes the number on as the text it is in the environment.
    ensure!(said["memory"] == 512 || said["memory"] == "512", "{said}");
    let got = client.get_function_configuration().function_name("life").send().await?;
    ensure!(got.timeout() == Some(7) && got.memory_size() == Some(512), "{got:?}");
    ensure!(got.code_sha256() != made.code_sha256() && got.revision_id() != made.revision_id());

    // A published version stays what it was.
    ensure!(function.publish().await? == "1");
    ensure!(function.publish().await? == "1", "nothing changed, so there is nothing to publish");
    function.update_python(&generation(4)).await?;
    ensure!(function.publish().await? == "2");
    function.update_python(&generation(5)).await?;
    for (qualifier, executed, generation) in [
        (Some("1"), "1", 3),
        (Some("2"), "2", 4),
        (Some("$LATEST"), "$LATEST", 5),
        (None, "$LATEST", 5),
    ] {
        let request = function.request(&json!({})).set_qualifier(qualifier.map(str::to_owned));
        let answer = function.send(request).await?;
        ensure!(answer.version.as_deref() == Some(executed), "{qualifier:?}: {answer:?}");
        let said = answer.json()?;
        ensure!(said["generation"] == generation && said["version"] == executed, "{said}");
    }
    let mut pages = client
        .list_versions_by_function()
        .function_name("life")
        .max_items(1)
        .into_paginator()
        .items()
        .send();
    let mut versions = Vec::new();
    while let Some(version) = pages.next().await {
        versions.push(version?.version().context("a version's number")?.to_owned());
    }
    ensure!(versions == ["$LATEST", "1", "2"], "{versions:?}");

    // Tagged.
    let arn = made.function_arn().context("an ARN")?;
    client.tag_resource().resource(arn).tags("team", "fire").tags("stage", "test").send().await?;
    client.untag_resource().resource(arn).tag_keys("stage").send().await?;
    let tags = client.list_tags().resource(arn).send().await?;
    let tags = tags.tags().context("tags")?;
    ensure!(tags.len() == 1 && tags["team"] == "fire", "{tags:?}");

    // One version deleted, then all of it.
    client.delete_function().function_name("life").qualifier("1").send().await?;
    let one = function.request(&json!({})).qualifier("1").send().await;
    refused("ResourceNotFoundException", 404, one)?;
    function.call(&json!({})).await?;
    client.delete_function().function_name("life").send().await?;
    for qualifier in [None, Some("2")] {
        let request = function.request(&json!({})).set_qualifier(qualifier.map(str::to_owned));
        refused("ResourceNotFoundException", 404, request.send().await)?;
    }
    let got = client.get_function().function_name("life").send().await;
    refused("ResourceNotFoundException", 404, got)?;

    // The name is free, and nothing of the old function comes back with it.
    let again = Draft::python("life", &generation(6)).create(&account).await?;
    ensure!(again.call(&json!({})).await?["generation"] == 6);
    ensure!(again.publish().await? == "1");
    Ok(())
}

async fn listings_page_through_everything(server: Arc<Server>) -> Result<()> {
    let account = server.new_account("listings").await?;
    let names: Vec<String> = (0..5).map(|n| format!("listed-{n}")).collect();
    for name in &names {
        Draft::python(name, &generation(1)).create(&account).await?;
    }
    for page in [1, 2, 5, 50] {
        let list = account.client.list_functions().max_items(page);
        let mut items = list.into_paginator().items().send();
        let mut seen = Vec::new();
        while let Some(item) = items.next().await {
            seen.push(item?.function_name().context("a name")?.to_owned());
        }
        seen.sort();
        ensure!(seen == names, "{page} a page: {seen:?}");
    }
    let first = account.client.list_functions().max_items(2).send().await?;
    ensure!(first.functions().len() == 2 && first.next_marker().is_some());

    let settings = account.client.get_account_settings().send().await?;
    let usage = settings.account_usage().context("usage")?;
    ensure!(usage.function_count() == 5, "{usage:?}");
    Ok(())
}

async fn what_is_wrong_is_refused(server: Arc<Server>) -> Result<()> {
    let account = server.new_account("refusals").await?;
    let client = &account.client;
    let draft = |name: &str| Draft::python(name, &generation(1));
    const VALUE: &str = "InvalidParameterValueException";
    const MODEL: &str = "ValidationException";

    // What the model's constraints forbid, and what only the service knows.
    let wrong = [
        ("memory-100", MODEL, draft("memory-100").memory_mb(100)),
        ("memory-20000", MODEL, draft("memory-20000").memory_mb(20_000)),
        ("timeout-0", MODEL, draft("timeout-0").timeout_s(0)),
        ("timeout-901", MODEL, draft("timeout-901").timeout_s(901)),
        ("cobol", VALUE, Draft::new("cobol", "cobol85", "a.b", zip_of(&[("a.py", b"")]))),
        ("environment", VALUE, draft("environment").env("BIG", &"x".repeat(5000))),
        ("reserved", VALUE, draft("reserved").env("AWS_REGION", "mars")),
    ];
    for (name, code, draft) in wrong {
        let seen = ErrorSeen::in_result(draft.request(&account).send().await)
            .with_context(|| format!("create {name}"))?;
        // AWS itself answers out-of-range numbers with either, by age of the field.
        let either = [VALUE, MODEL].contains(&seen.code.as_str());
        ensure!(
            seen.status == 400 && (seen.code == code || code == MODEL && either),
            "{name}: {seen:?}"
        );
        let got = client.get_function().function_name(name).send().await;
        refused("ResourceNotFoundException", 404, got).context("half-created")?;
    }
    let long = draft(&"n".repeat(200)).request(&account).send().await;
    let seen = ErrorSeen::in_result(long).context("a name of 200 characters")?;
    ensure!(seen.status == 400, "{seen:?}");

    // What clashes with what there is.
    let function = draft("one").create(&account).await?;
    refused("ResourceConflictException", 409, draft("one").request(&account).send().await)?;
    let stale = client.publish_version().function_name("one").revision_id("not-this-one");
    refused("PreconditionFailedException", 412, stale.send().await)?;
    let stale = client.publish_version().function_name("one").code_sha256("bm90IHRoaXM=");
    let seen = ErrorSeen::in_result(stale.send().await).context("publish other code")?;
    ensure!(seen.status == 400 && seen.code == VALUE, "{seen:?}");
    let latest = client.delete_function().function_name("one").qualifier("$LATEST");
    refused(VALUE, 400, latest.send().await)?;
    let no_code = client.update_function_code().function_name("one").send().await;
    refused(VALUE, 400, no_code)?;

    // What is not there.
    const NOT_FOUND: &str = "ResourceNotFoundException";
    let absent = client.update_function_configuration().function_name("absent").memory_size(256);
    refused(NOT_FOUND, 404, absent.send().await)?;
    refused(NOT_FOUND, 404, client.delete_function().function_name("absent").send().await)?;
    refused(NOT_FOUND, 404, client.publish_version().function_name("absent").send().await)?;
    let version = client.get_function().function_name("one").qualifier("7").send().await;
    refused(NOT_FOUND, 404, version)?;

    // What AWS has and Hearth does not is said to be so.
    let reserve = client.put_function_concurrency().function_name("one");
    let reserve = reserve.reserved_concurrent_executions(1).send().await;
    let seen = ErrorSeen::in_result(reserve).context("reserve concurrency")?;
    ensure!(seen.code.starts_with("UnsupportedOperation"), "{seen:?}");

    // None of it touched the function.
    ensure!(function.call(&json!({})).await?["generation"] == 1);
    Ok(())
}

async fn bad_packages_leave_nothing(server: Arc<Server>) -> Result<()> {
    let account = server.new_account("packages").await?;
    let bomb = zip_of(&[("zeros", &vec![0; 260 * 1024 * 1024])]);
    ensure!(bomb.len() < 1024 * 1024, "a bomb is small");
    let app = (b"def handler(e, c): return 1\n".as_slice(), 0o644);
    let packages: [(&str, Vec<u8>); 6] = [
        ("not-a-zip", b"PK\x03\x04 but no zip".to_vec()),
        ("empty", Vec::new()),
        ("bomb", bomb),
        ("dot-dot", zip_of_entries(&[("app.py", app.0, app.1), ("../evil", b"x", 0o644)])),
        ("absolute", zip_of_entries(&[("app.py", app.0, app.1), ("/etc/evil", b"x", 0o644)])),
        (
            "through-link",
            zip_of_entries(&[
                ("app.py", app.0, app.1),
                ("out", b"/etc", 0o120_777),
                ("out/evil", b"x", 0o644),
            ]),
        ),
    ];
    for (name, zip) in packages {
        let create = Draft::new(name, "python3.13", "app.handler", zip).request(&account).send();
        refused("InvalidParameterValueException", 400, create.await)
            .with_context(|| format!("package {name}"))?;
        let got = account.client.get_function().function_name(name).send().await;
        refused("ResourceNotFoundException", 404, got).context("half-created")?;
    }
    // An update with a bad package leaves the function as it was.
    let function = Draft::python("good", &generation(1)).create(&account).await?;
    let update = account.client.update_function_code().function_name("good");
    let update = update.zip_file(Blob::new(b"not a zip".to_vec())).send().await;
    refused("InvalidParameterValueException", 400, update)?;
    ensure!(function.call(&json!({})).await?["generation"] == 1);
    Ok(())
}

async fn bad_invokes_are_refused(server: Arc<Server>) -> Result<()> {
    let account = server.new_account("invokes").await?;
    let function =
        Draft::python("echo", "def handler(e, c): return len(e)\n").create(&account).await?;
    let invoke = || account.client.invoke().function_name("echo");

    let bad_json = invoke().payload(Blob::new(b"{\"a\":".to_vec())).send().await;
    refused("InvalidRequestContentException", 400, bad_json)?;
    let absent = account.client.invoke().function_name("absent").send().await;
    refused("ResourceNotFoundException", 404, absent)?;
    let version = invoke().qualifier("9").send().await;
    refused("ResourceNotFoundException", 404, version)?;

    // The largest event, and one byte more.
    let text = "x".repeat(PAYLOAD_BYTES_MAX - 2);
    let answer = function.call(&json!(text)).await?;
    ensure!(answer == text.len(), "{answer}");
    let more = invoke().payload(Blob::new(format!("\"{text}x\""))).send().await;
    refused("RequestTooLargeException", 413, more)?;

    // A dry run checks everything and runs nothing.
    let dry = invoke().invocation_type(InvocationType::DryRun).send().await?;
    ensure!(dry.status_code() == 204, "{dry:?}");
    Ok(())
}

async fn strangers_are_refused(server: Arc<Server>) -> Result<()> {
    let account = server.default_account()?;
    let (id, secret) =
        (account.credentials.access_key_id(), account.credentials.secret_access_key());
    let forger = Account::new(&server.endpoint, id, "not the secret");
    let seen = ErrorSeen::in_result(forger.client.list_functions().send().await)?;
    ensure!(seen.status == 403 && seen.code == "InvalidSignatureException", "{seen:?}");
    let created = Draft::python("forged", &generation(1)).request(&forger).send().await;
    ensure!(ErrorSeen::in_result(created)?.status == 403);
    let unknown = Account::new(&server.endpoint, "AKIANOBODYKNOWSTHIS0", secret);
    let seen = ErrorSeen::in_result(unknown.client.list_functions().send().await)?;
    ensure!(seen.status == 403 && seen.code == "UnrecognizedClientException", "{seen:?}");
    Ok(())
}
