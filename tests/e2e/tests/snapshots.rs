//! Snapshots of versions: built when they are published, restored for ever after,
//! kept over restarts, gone with the version; and what functions do wrong on the way.

use anyhow::{Context, Result, ensure};
use aws_sdk_lambda::types::{
    SnapStartApplyOn, SnapStartOptimizationStatus, State, StateReasonCode,
};
use hearth_e2e::{
    Account, Draft, ErrorSeen, Function, Server, ServerCase, ServerOptions, Start, eventually,
    files_in, refused, run_on,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest that a few restores at once may take, emulated.
const RESTORES_MAX: Duration = Duration::from_secs(60);
/// Longest that a function's hooks may take after a restore.
const HOOKS: Duration = Duration::from_secs(10);
/// What comes on top before the caller is told: the restore itself, emulated.
const TOLD: Duration = Duration::from_secs(10);

/// Share of a clone's pages that its snapshot may not have known of, from the second
/// restore on.
const MISSES_MAX: f64 = 0.05;

fn main() -> ExitCode {
    let cases = vec![
        ServerCase::new("a_published_version_is_restored", a_published_version_is_restored),
        ServerCase::new("restores_find_their_pages", restores_find_their_pages),
        ServerCase::new("snapshots_outlive_the_server", snapshots_outlive_the_server),
        ServerCase::new("a_failed_init_fails_the_version", a_failed_init_fails_the_version),
        ServerCase::new("hooks_run_on_both_sides", hooks_run_on_both_sides),
        ServerCase::new("a_failed_hook_is_reported", a_failed_hook_is_reported),
        ServerCase::new("a_hook_that_hangs_is_cut", a_hook_that_hangs_is_cut),
        ServerCase::new("an_account_has_its_own_snapshots", an_account_has_its_own_snapshots),
        ServerCase::new("eight_restores_at_once", eight_restores_at_once),
    ];
    run_on(ServerOptions::default(), 2, cases)
}

/// Tells what it did while it initialised, and what it finds in `/tmp`.
const TELLS: &str = r#"
import os, time, uuid
BORN = [time.time_ns(), uuid.uuid4().hex]
with open("/tmp/init", "w") as file: file.write(BORN[1])
def handler(event, context):
    before = sorted(os.listdir("/tmp"))
    open("/tmp/" + context.aws_request_id, "w").close()
    with open("/tmp/init") as file: init = file.read()
    return {
        "born": BORN,
        "init": init,
        "before": before,
        "how": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"],
        "version": context.function_version,
    }
"#;

async fn a_published_version_is_restored(server: Arc<Server>) -> Result<()> {
    let account = server.new_account("publishes").await?;
    let latest = Draft::python("tells", TELLS).snap_start().create(&account).await?;
    let told = latest.configuration().await?;
    let snap_start = told.snap_start().context("SnapStart")?;
    ensure!(snap_start.apply_on() == Some(&SnapStartApplyOn::PublishedVersions), "{told:?}");
    ensure!(snap_start.optimization_status() == Some(&SnapStartOptimizationStatus::Off));
    ensure!(latest.call(&json!({})).await?["how"] == "on-demand");

    let published = account.client.publish_version().function_name("tells").send().await?;
    ensure!(published.state() == Some(&State::Pending), "{published:?}");
    let status = |s: Option<&aws_sdk_lambda::types::SnapStartResponse>| {
        s.and_then(|s| s.optimization_status()).cloned()
    };
    ensure!(status(published.snap_start()) == Some(SnapStartOptimizationStatus::Off));
    let version = latest.at(published.version().context("a version")?);
    let early = version.request(&json!({})).send().await;
    let seen = refused("ResourceConflictException", 409, early)?;
    ensure!(seen.message.contains("Pending"), "{seen:?}");
    // Meanwhile what is there goes on.
    let mut meanwhile = 0;
    while version.configuration().await?.state() == Some(&State::Pending) {
        ensure!(latest.call(&json!({})).await?["version"] == "$LATEST");
        meanwhile += 1;
    }
    ensure!(meanwhile > 0, "the build was over at once");
    let told = version.settled().await?;
    ensure!(told.state() == Some(&State::Active), "{told:?}");
    ensure!(status(told.snap_start()) == Some(SnapStartOptimizationStatus::On), "{told:?}");

    // Not asked for, it is restored too, and then is warm.
    let first = version.start(Start::Warm, &json!({})).await?;
    ensure!(first.kind == "restored", "{first:?}");
    ensure!(first.log.contains("\tRestore Duration: "), "{}", first.log);
    ensure!(first.log.contains("\tBilled Restore Duration: "), "{}", first.log);
    ensure!(!first.log.contains("Init Duration"), "{}", first.log);
    let first = first.answer.json()?;
    ensure!(first["how"] == "snap-start" && first["version"] == "1", "{first}");
    ensure!(first["init"] == first["born"][1], "{first}");
    let second = version.start(Start::Warm, &json!({})).await?;
    ensure!(second.kind == "warm" && !second.log.contains("Restore Duration"), "{second:?}");
    let second = second.answer.json()?;
    ensure!(names(&second["before"])?.len() == names(&first["before"])?.len() + 1, "{second}");

    // Other clones have the same past, and none has another's present.
    for _ in 0..3 {
        let clone = version.call_started(Start::Restored, &json!({})).await?;
        for same in ["born", "init", "before", "how"] {
            ensure!(clone[same] == first[same], "{same}: {clone}, {first}");
        }
    }
    // Without the snapshot it starts the longer way.
    let cold = version.call_started(Start::Cold, &json!({})).await?;
    ensure!(cold["born"] != first["born"] && cold["how"] == "on-demand", "{cold}");
    Ok(())
}

async fn restores_find_their_pages(_shared: Arc<Server>) -> Result<()> {
    let options = ServerOptions::default().with("--metrics-listen", "127.0.0.1:0");
    let server = Server::start(&options).await?;
    let account = server.default_account()?;
    let function = Draft::python("touches", TELLS).snap_start().create(&account).await?;
    let version = function.publish_active().await?;
    version.call_started(Start::Restored, &json!({})).await?;
    server.says("learnt a working set snapshot=snapshots/", RESTORES_MAX).await?;
    let pages = async || -> Result<[f64; 2]> {
        let pages = |how| format!("hearth_worker_clone_pages_total{{fetched=\"{how}\"}}");
        Ok([server.metric(&pages("ahead")).await?, server.metric(&pages("asked")).await?])
    };
    ensure!(pages().await? == [0.0, 0.0], "the first knew of nothing");
    version.call_started(Start::Restored, &json!({})).await?;
    let [ahead, asked] = eventually("what the second touched", RESTORES_MAX, || async {
        Ok(Some(pages().await?).filter(|[ahead, _]| *ahead > 0.0))
    })
    .await?;
    println!("the second restore: {ahead} pages ahead, {asked} asked for");
    ensure!(asked / (ahead + asked) <= MISSES_MAX, "{ahead} pages ahead, {asked} asked for");
    server.stop().await
}

fn names(listing: &Value) -> Result<Vec<&str>> {
    let names = listing.as_array().context("a list")?.iter();
    Ok(names.filter_map(Value::as_str).collect())
}

async fn snapshots_outlive_the_server(_shared: Arc<Server>) -> Result<()> {
    let dir = TempDir::with_prefix("hearth-e2e-")?;
    let options = ServerOptions::default();
    let server = Server::start_in(dir.path(), &options).await?;
    let account = server.default_account()?;
    let latest = Draft::python("stays", TELLS).snap_start().create(&account).await?;
    let one = latest.publish_active().await?;
    latest.update_python(&format!("{TELLS}\n# another\n")).await?;
    let two = latest.publish_active().await?;
    let born = one.call_started(Start::Restored, &json!({})).await?["born"].clone();
    let other = two.call_started(Start::Restored, &json!({})).await?["born"].clone();
    ensure!(born != other, "two versions share a snapshot");
    ensure!(server.said("made a layer") == 1, "{}", server.output());
    let (all, layers) = (stored(dir.path(), "snapshots")?, stored(dir.path(), "layers")?);
    ensure!(all.len() == 2 && layers.len() == 2, "{all:?}, {layers:?}");
    server.stop().await?;

    // A crash is as good as an end.
    for crash in [true, false] {
        let server = Server::start_in(dir.path(), &options).await?;
        let [one, latest] = moved([&one, &latest], &server.default_account()?);
        let clone = one.call_started(Start::Restored, &json!({})).await?;
        ensure!(clone["born"] == born, "initialised anew: {clone}");
        let cold = latest.start(Start::Warm, &json!({})).await?;
        ensure!(cold.kind == "cold", "no layer: {cold:?}");
        ensure!(server.said("made a layer") == 0, "{}", server.output());
        ensure!(stored(dir.path(), "layers")? == layers);
        match crash {
            true => server.kill().await?.processes_gone().await?,
            false => server.stop().await?,
        }
    }

    // What is deleted loses its snapshot, at the latest when a server starts.
    let server = Server::start_in(dir.path(), &options).await?;
    let client = server.default_account()?.client;
    client.delete_function().function_name("stays").qualifier("1").send().await?;
    server.stop().await?;
    let server = Server::start_in(dir.path(), &options).await?;
    let [one, two, latest] = moved([&one, &two, &latest], &server.default_account()?);
    let left = stored(dir.path(), "snapshots")?;
    ensure!(left.len() == 1 && left.is_subset(&all), "{left:?}");
    let gone = one.request(&json!({})).send().await;
    refused("ResourceNotFoundException", 404, gone)?;
    let clone = two.call_started(Start::Restored, &json!({})).await?;
    ensure!(clone["born"] == other, "{clone}");
    let client = &latest.account.client;
    client.delete_function().function_name("stays").send().await?;
    server.stop().await?;
    let server = Server::start_in(dir.path(), &options).await?;
    ensure!(stored(dir.path(), "snapshots")?.is_empty());
    ensure!(stored(dir.path(), "layers")? == layers);
    server.stop().await
}

/// Functions as another life of their server has them.
fn moved<const N: usize>(functions: [&Function; N], account: &Account) -> [Function; N] {
    functions.map(|f| Function { account: account.clone(), name: f.name.clone() })
}

/// Names of what is stored of a kind.
fn stored(data_dir: &Path, kind: &str) -> Result<BTreeSet<String>> {
    let files = files_in(&data_dir.join("objects").join(kind))?;
    let names = files.iter().filter_map(|file| file.file_name());
    Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
}

async fn a_failed_init_fails_the_version(server: Arc<Server>) -> Result<()> {
    let account = server.new_account("fails").await?;
    let raises = "raise LookupError('no such luck')\n";
    let exits = "import os\nos._exit(3)\n";
    let hook = "from snapshot_restore_py import register_before_snapshot\n\
                @register_before_snapshot\n\
                def before(): raise LookupError('not ready')\n\
                def handler(event, context): return 1\n";
    let cases = [
        ("raises", raises, "LookupError: no such luck"),
        ("exits", exits, "exit status 3"),
        ("hook", hook, "not ready"),
    ];
    for (name, source, why) in cases {
        let latest = Draft::python(name, source).snap_start().create(&account).await?;
        let version = latest.at(&latest.publish().await?);
        let told = version.settled().await?;
        ensure!(told.state() == Some(&State::Failed), "{told:?}");
        ensure!(told.state_reason_code() == Some(&StateReasonCode::FunctionError), "{told:?}");
        ensure!(told.state_reason().is_some_and(|r| r.contains(why)), "{told:?}");
        let called = version.request(&json!({})).send().await;
        let seen = refused("ResourceConflictException", 409, called)?;
        ensure!(seen.message.contains("Failed"), "{seen:?}");
        // What was wrong is mended by the next version.
        latest.update_python("def handler(event, context): return 'mended'\n").await?;
        let mended = latest.publish_active().await?;
        ensure!(mended.call_started(Start::Restored, &json!({})).await? == "mended");
    }
    Ok(())
}

/// Hooks that leave traces, or do as the variable says.
const HOOKED: &str = r#"
import os, time
from snapshot_restore_py import register_after_restore, register_before_snapshot
RAN = []
@register_before_snapshot
def before(): RAN.append("before")
@register_after_restore
def after():
    RAN.append("after")
    if os.environ["DO"] == "raise": raise LookupError("nobody there")
    if os.environ["DO"] == "exit": os._exit(4)
    if os.environ["DO"] == "hang": time.sleep(600)
def handler(event, context): return RAN
"#;

async fn hooked(account: &Account, what: &str) -> Result<Function> {
    let draft = Draft::python(&format!("hook-{what}"), HOOKED).env("DO", what).snap_start();
    draft.create(account).await?.publish_active().await
}

async fn hooks_run_on_both_sides(server: Arc<Server>) -> Result<()> {
    let version = hooked(&server.new_account("hooks").await?, "nothing").await?;
    let first = version.call(&json!({})).await?;
    ensure!(first == json!(["before", "after"]), "{first}");
    let again = version.call(&json!({})).await?;
    ensure!(again == first, "hooks ran again: {again}");
    // Started without its snapshot there is nothing to run them for.
    let cold = version.call_started(Start::Cold, &json!({})).await?;
    ensure!(cold == json!([]), "{cold}");
    Ok(())
}

async fn a_failed_hook_is_reported(server: Arc<Server>) -> Result<()> {
    let account = server.new_account("raises").await?;
    for (what, why) in [("raise", "nobody there"), ("exit", "exit status 4")] {
        let version = hooked(&account, what).await?;
        for _ in 0..2 {
            let called = version.request(&json!({})).send().await;
            let seen = refused("SnapStartException", 400, called)?;
            ensure!(seen.message.contains(why), "{seen:?}");
        }
        let log = account.logs(&format!("hook-{what}")).await?;
        ensure!(log.contains("RESTORE_REPORT Restore Duration: "), "{log}");
    }
    nothing_lives(&server, &account).await
}

async fn a_hook_that_hangs_is_cut(server: Arc<Server>) -> Result<()> {
    let account = server.new_account("hangs").await?;
    let version = hooked(&account, "hang").await?;
    let began = Instant::now();
    let called = version.request(&json!({})).send().await;
    let took = began.elapsed();
    let seen = refused("SnapStartTimeoutException", 408, called)?;
    ensure!(took >= HOOKS && took < HOOKS + TOLD, "{took:?}: {seen:?}");
    nothing_lives(&server, &account).await
}

async fn nothing_lives(server: &Server, account: &Account) -> Result<()> {
    eventually("the end of sandboxes whose restore failed", HOOKS, || async {
        Ok(server.sandboxes(account).await?.is_empty().then_some(()))
    })
    .await
}

async fn an_account_has_its_own_snapshots(server: Arc<Server>) -> Result<()> {
    let owner = server.new_account("owner").await?;
    let stranger = server.new_account("stranger").await?;
    let version =
        Draft::python("mine", TELLS).snap_start().create(&owner).await?.publish_active().await?;
    let born = version.call_started(Start::Restored, &json!({})).await?["born"].clone();
    let arn = version.configuration().await?.function_arn().context("an ARN")?.to_owned();
    for name in ["mine", "mine:1", &arn] {
        let called = stranger.client.invoke().function_name(name).send().await;
        let seen = ErrorSeen::in_result(called).with_context(|| name.to_owned())?;
        ensure!([403, 404].contains(&seen.status), "{name}: {seen:?}");
    }
    // The same function of another account's is initialised for itself.
    let theirs =
        Draft::python("mine", TELLS).snap_start().create(&stranger).await?.publish_active().await?;
    let clone = theirs.call_started(Start::Restored, &json!({})).await?;
    ensure!(clone["born"] != born, "restored from another account's snapshot: {clone}");
    Ok(())
}

async fn eight_restores_at_once(server: Arc<Server>) -> Result<()> {
    const AT_ONCE: usize = 8;
    let account = server.new_account("many").await?;
    let version =
        Draft::python("many", TELLS).snap_start().create(&account).await?.publish_active().await?;
    let born = version.call_started(Start::Restored, &json!({})).await?["born"].clone();
    let began = Instant::now();
    let starts: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let version = version.clone();
            tokio::spawn(async move { version.call_started(Start::Restored, &json!({})).await })
        })
        .collect();
    for start in starts {
        let clone = start.await??;
        ensure!(clone["born"] == born && clone["before"] == json!(["init"]), "{clone}");
    }
    println!("{AT_ONCE} restores at once: {:?}", began.elapsed());
    ensure!(began.elapsed() < RESTORES_MAX, "{:?}", began.elapsed());
    Ok(())
}
