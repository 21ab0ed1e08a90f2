//! Who makes or serves snapshots dies or is cut off, and a stranger's are put under: a
//! start takes a longer way, or says what is wrong, and nothing is left behind.

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_lambda::types::State;
use hearth_e2e::{
    Account, Case, Draft, Function, Leftovers, Server, ServerOptions, Start, digests, eventually,
    files_in, run,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;
use tempfile::TempDir;

/// Longest that a state may take to come about.
const SOON: Duration = Duration::from_secs(30);
/// Longest that a moment of a build may be waited for: a boot and two layers come first.
const BUILD: Duration = Duration::from_secs(90);
/// How often the moment is looked for, so that none is missed.
const GLANCE: Duration = Duration::from_millis(2);

fn main() -> ExitCode {
    let cases = vec![
        Case::new("a_killed_page_server_is_replaced", a_killed_page_server_is_replaced),
        Case::new("a_build_survives_kill_9", a_build_survives_kill_9),
        Case::new("a_server_ends_while_a_layer_is_made", a_server_ends_while_a_layer_is_made),
        Case::new("a_strangers_snapshot_cannot_be_put_under", a_strangers_snapshot),
    ];
    run(1, cases)
}

fn kill(pid: i32) -> Result<()> {
    Ok(kill_process(Pid::from_raw(pid).context("a process has an id")?, Signal::KILL)?)
}

/// The one page server of a server.
fn page_server(server: &Server) -> Result<i32> {
    let found = server.holdings()?.page_servers();
    ensure!(found.len() == 1, "page servers: {found:?}");
    Ok(found[0])
}

async fn a_killed_page_server_is_replaced() -> Result<()> {
    let server = Server::start(&ServerOptions::default()).await?;
    let account = server.default_account()?;
    let latest = digests("pages").create(&account).await?;
    let version = latest.publish_active().await?;
    let first = version.call(&json!({})).await?;
    latest.call(&json!({})).await?;
    let idle: Vec<_> = server.sandboxes(&account).await?.into_iter().map(|s| s.id).collect();
    ensure!(idle.len() == 2, "{idle:?}");

    for round in 0..2 {
        let running = tokio::spawn({
            let version = version.clone();
            async move { version.invoke(&json!({"seconds": 25})).await }
        });
        eventually("a busy sandbox", SOON, || async {
            let sandboxes = server.sandboxes(&account).await?;
            Ok(sandboxes.iter().any(|s| s.state == "busy").then_some(()))
        })
        .await?;
        let before = page_server(&server)?;
        kill(before)?;
        // Whoever runs is told, at once, and what was idle is gone.
        let answer =
            tokio::time::timeout(SOON / 2, running).await.context("nobody is told")???;
        let failure = answer.failure()?;
        ensure!(failure.error_type == "Sandbox.Failure", "{failure:?}");
        server.says("the page server died", SOON).await?;
        for (function, kind) in [(&version, "restored"), (&latest, "cold")] {
            let event = json!({});
            let call = function.start(Start::Warm, &event);
            let next = tokio::time::timeout(SOON, call).await.context("it hangs")??;
            ensure!(next.kind == kind, "round {round}: {} is {}", function.name, next.kind);
            let said = next.answer.json()?;
            ensure!(said["digest"] == first["digest"] && said["disk"] == first["disk"], "{said}");
        }
        let after: Vec<_> = server.sandboxes(&account).await?.into_iter().map(|s| s.id).collect();
        ensure!(after.len() == 2, "those on the dead server live: {after:?}, {idle:?}");
        ensure!(after.iter().all(|id| !idle.contains(id)), "{after:?}, {idle:?}");
        ensure!(page_server(&server)? != before);
    }
    server.stop().await
}

/// A moment of a build.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The answer to the call is just there.
    Published,
    /// Memory is being put where a guest can be captured.
    Filling,
    /// The function initialises.
    Initialising,
    /// Its snapshot is being stored.
    Storing,
}

/// Says when it begins and when it ends to initialise, and takes its time.
const SLOW: &str = r#"
import os, time, uuid
print("init begins", os.environ["ROUND"], flush=True)
BALLAST = os.urandom(48 * 1024 * 1024)
time.sleep(3)
print("init ends", os.environ["ROUND"], flush=True)
BORN = uuid.uuid4().hex
def handler(event, context): return [os.environ["ROUND"], BORN]
"#;

async fn a_build_survives_kill_9() -> Result<()> {
    let dir = TempDir::with_prefix("hearth-e2e-")?;
    let options = ServerOptions::default();
    let mut all_held: Vec<Leftovers> = Vec::new();
    let mut pending: Option<String> = None;
    let moments = [Moment::Published, Moment::Filling, Moment::Initialising, Moment::Storing];
    for (round, moment) in moments.into_iter().enumerate() {
        let server = Server::start_in(dir.path(), &options).await?;
        let account = server.default_account()?;
        if let Some(cut) = pending.take() {
            resumed(&account, &cut, round - 1)
                .await
                .with_context(|| format!("before {moment:?}"))?;
        }
        let name = format!("slow-{round}");
        let draft = Draft::python(&name, SLOW).memory_mb(256).env("ROUND", &round.to_string());
        let function = draft.snap_start().create(&account).await?;
        if round == 1 {
            // So that from here on no layer is in the way.
            function.call(&json!({})).await?;
        }
        let version = function.publish().await?;
        reached(&server, &function, round, moment).await.with_context(|| format!("{moment:?}"))?;
        let state = function.at(&version).configuration().await?;
        ensure!(state.state() == Some(&State::Pending), "too late at {moment:?}");
        let held = server.kill().await?;
        held.processes_gone().await.with_context(|| format!("{moment:?}"))?;
        all_held.push(held);
        pending = Some(format!("{name}:{version}"));
    }
    let server = Server::start_in(dir.path(), &options).await?;
    let account = server.default_account()?;
    resumed(&account, &pending.context("a version")?, moments.len() - 1).await?;
    // Of each function there is one snapshot: what was cut off is nobody's.
    server.stop().await?;
    let server = Server::start_in(dir.path(), &options).await?;
    let named = files_in(&dir.path().join("objects/snapshots"))?;
    ensure!(named.len() == moments.len(), "{named:?}");
    server.stop().await?;
    for (held, moment) in all_held.iter().zip(moments) {
        held.gone().await.with_context(|| format!("killed at {moment:?}"))?;
    }
    Ok(())
}

/// A version whose build was cut off is built by the next life of its server.
async fn resumed(account: &Account, version: &str, round: usize) -> Result<()> {
    let version = Function { account: account.clone(), name: version.to_owned() };
    let told = version.settled().await?;
    ensure!(told.state() == Some(&State::Active), "{told:?}");
    let one = version.call_started(Start::Restored, &json!({})).await?;
    let two = version.call_started(Start::Restored, &json!({})).await?;
    ensure!(one == two && one[0].as_str() == Some(round.to_string().as_str()), "{one}, {two}");
    Ok(())
}

async fn reached(server: &Server, function: &Function, round: usize, moment: Moment) -> Result<()> {
    let begun = format!("init begins {round}");
    let ended = format!("init ends {round}");
    let logged = async |line: &str| {
        let log = function.account.logs(&function.name).await;
        // What has not written yet has no log.
        log.is_ok_and(|log| log.contains(line))
    };
    let objects = server.data_dir().join("objects/chunks");
    match moment {
        Moment::Published => Ok(()),
        Moment::Filling => {
            glimpsed("memory being filled", || Ok(!server.holdings()?.captured()?.is_empty())).await
        }
        Moment::Initialising => {
            eventually("its init", BUILD, || async { Ok(logged(&begun).await.then_some(())) }).await
        }
        Moment::Storing => {
            eventually("its init's end", BUILD, || async {
                Ok(logged(&ended).await.then_some(()))
            })
            .await?;
            let before = files_in(&objects)?.len();
            glimpsed("chunks", || Ok(files_in(&objects)?.len() > before)).await
        }
    }
}

/// Looks all the time, for what may soon be over.
async fn glimpsed(what: &str, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    let began = std::time::Instant::now();
    while !look()? {
        ensure!(began.elapsed() < BUILD, "not seen in {BUILD:?}: {what}");
        tokio::time::sleep(GLANCE).await;
    }
    Ok(())
}

async fn a_server_ends_while_a_layer_is_made() -> Result<()> {
    let server = Server::start(&ServerOptions::default()).await?;
    let latest = digests("first").create(&server.default_account()?).await?;
    let first = latest.start(Start::Warm, &json!({})).await?;
    ensure!(first.kind == "booted", "{first:?}");
    // The first of two: another guest is about to be started for the second.
    server.says("stored a guest's memory name=layers/os-", BUILD).await?;
    ensure!(server.said("made a layer") == 0, "too late: {}", server.output());
    server.stop().await
}

async fn a_strangers_snapshot() -> Result<()> {
    let dir = TempDir::with_prefix("hearth-e2e-")?;
    let options = ServerOptions::default();
    let server = Server::start_in(dir.path(), &options).await?;
    let (owner, thief) = (server.default_account()?, server.new_account("thief").await?);
    let owners = digests("owners").create(&owner).await?.publish_active().await?;
    let thiefs = digests("thiefs").create(&thief).await?.publish_active().await?;
    let theirs = thiefs.call_started(Start::Restored, &json!({})).await?;
    let _owners = owners.call_started(Start::Restored, &json!({})).await?;
    let (arn_owner, arn_thief) = (owners.configuration().await?, thiefs.configuration().await?);
    server.stop().await?;

    // Whoever could write to the store puts one account's snapshot under another's name.
    let account = |arn: Option<&str>| {
        arn.and_then(|arn| arn.split(':').nth(4)).map(str::to_owned).context("an account")
    };
    let names = dir.path().join("objects/snapshots");
    let from = files_in(&names.join(account(arn_owner.function_arn())?))?;
    let to = files_in(&names.join(account(arn_thief.function_arn())?))?;
    ensure!(from.len() == 1 && to.len() == 1, "{from:?}, {to:?}");
    fs::copy(&from[0], &to[0])?;

    let server = Server::start_in(dir.path(), &options).await?;
    let thief = Account::new(
        &server.endpoint,
        thief.credentials.access_key_id(),
        thief.credentials.secret_access_key(),
    );
    let thiefs = Function { account: thief, name: thiefs.name };
    let started = thiefs.start(Start::Warm, &json!({})).await?;
    if started.kind == "restored" {
        bail!("another account's snapshot was restored: {started:?}");
    }
    let said = started.answer.json()?;
    ensure!(said["name"] == "thiefs" && said["born"] != theirs["born"], "{said}");
    ensure!(server.said("a function's snapshot cannot be used") > 0, "{}", server.output());
    server.stop().await
}
