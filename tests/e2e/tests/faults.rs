//! Crashes and shortages: what was acknowledged stays, what was running gets an
//! answer, and the next start finds a clean host.

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_lambda::config::http::HttpResponse;
use aws_sdk_lambda::error::{DisplayErrorContext, SdkError};
use aws_sdk_lambda::primitives::Blob;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hearth_e2e::{
    Account, Case, Draft, ErrorSeen, Function, Life, Server, ServerOptions, SmallDisk, eventually,
    refused, run, zip_of,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// Longest that a state may take to come about.
const SOON: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let cases = vec![
        Case::new("acknowledged_writes_survive_kill_9", acknowledged_writes_survive_kill_9),
        Case::new("kill_9_in_an_invoke_leaves_nothing", kill_9_in_an_invoke_leaves_nothing),
        Case::new("sigterm_lets_an_invoke_finish", sigterm_lets_an_invoke_finish),
        Case::new("one_server_per_data_dir", one_server_per_data_dir),
        Case::new("a_taken_port_is_named", a_taken_port_is_named),
        Case::new("missing_images_are_named", missing_images_are_named),
        Case::new("a_full_disk_is_survived", a_full_disk_is_survived),
        Case::new("a_killed_vmm_is_replaced", a_killed_vmm_is_replaced),
    ];
    run(2, cases)
}

fn source(says: &str) -> String {
    format!("def handler(event, context): return '{says}'\n")
}

const HOLDS: &str = r#"
import time
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return context.log_stream_name
"#;

/// Waits until one sandbox of `function` is in `state`.
async fn in_state(server: &Server, function: &Function, state: &str) -> Result<()> {
    eventually(&format!("a sandbox that is {state}"), SOON, || async {
        let sandboxes = server.sandboxes(&function.account).await?;
        let found = sandboxes.iter().any(|s| s.function == function.name && s.state == state);
        Ok(found.then_some(()))
    })
    .await
}

/// What a writer did to its functions, in order: what each of them said last
/// when it was acknowledged, and what it may say because the answer was lost.
#[derive(Default)]
struct Ledger {
    acknowledged: BTreeMap<String, String>,
    attempted: BTreeMap<String, String>,
}

async fn acknowledged_writes_survive_kill_9() -> Result<()> {
    const ROUNDS: usize = 3;
    const WRITERS: usize = 4;
    /// Acknowledged writes before the kill, so that every round kills another
    /// moment.
    const ACKNOWLEDGED_MIN: usize = 10;
    let dir = TempDir::with_prefix("hearth-e2e-")?;
    let options = ServerOptions::default();
    let ledger: Arc<Mutex<Ledger>> = Arc::default();

    for round in 0..ROUNDS {
        let server = Server::start_in(dir.path(), &options).await?;
        let account = server.default_account()?;
        check_against(&account, &ledger).await.with_context(|| format!("round {round}"))?;
        let before = locked(&ledger).acknowledged.len();
        let writers: Vec<_> = (0..WRITERS)
            .map(|w| tokio::spawn(write_until_cut(account.clone(), ledger.clone(), round, w)))
            .collect();
        eventually("enough acknowledged writes", SOON, || async {
            let now = locked(&ledger).acknowledged.len();
            Ok((now >= before + ACKNOWLEDGED_MIN).then_some(()))
        })
        .await?;
        let held = server.kill().await?;
        for writer in writers {
            writer.await??;
        }
        held.processes_gone().await?;
    }

    let server = Server::start_in(dir.path(), &options).await?;
    let account = server.default_account()?;
    check_against(&account, &ledger).await?;
    // They do not only exist: the code that was acknowledged is what runs.
    let acknowledged = locked(&ledger).acknowledged.clone();
    for (name, says) in acknowledged.iter().rev().step_by(acknowledged.len() / 3) {
        let function = Function { account: account.clone(), name: name.clone() };
        function.wait_active().await?;
        let said = function.call(&json!({})).await?;
        let may_say = locked(&ledger).attempted.get(name).cloned();
        ensure!(said == *says || said.as_str() == may_say.as_deref(), "{name}: {said}");
    }
    server.stop().await
}

fn locked(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Creates functions and updates each once, until the server is gone.
async fn write_until_cut(
    account: Account,
    ledger: Arc<Mutex<Ledger>>,
    round: usize,
    writer: usize,
) -> Result<()> {
    for n in 0.. {
        let name = format!("r{round}-w{writer}-{n}");
        for (says, update) in [(format!("{name}-made"), false), (format!("{name}-updated"), true)] {
            locked(&ledger).attempted.insert(name.clone(), says.clone());
            let written = if update {
                let zip = Blob::new(zip_of(&[("app.py", source(&says).as_bytes())]));
                let update = account.client.update_function_code().function_name(&name);
                update.zip_file(zip).send().await.map(drop).map_err(Unwritten::from)
            } else {
                let draft = Draft::python(&name, &source(&says));
                draft.request(&account).send().await.map(drop).map_err(Unwritten::from)
            };
            match written {
                Ok(()) => {
                    locked(&ledger).acknowledged.insert(name.clone(), says);
                }
                Err(Unwritten::Cut) => return Ok(()),
                Err(Unwritten::Refused(why)) => bail!("{name}: {why}"),
            }
        }
    }
    Ok(())
}

/// Whether a call was refused or the server went away under it.
enum Unwritten {
    Cut,
    Refused(String),
}

impl<E: std::error::Error + 'static> From<SdkError<E, HttpResponse>> for Unwritten {
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        match error {
            SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => Self::Cut,
            other => Self::Refused(DisplayErrorContext(other).to_string()),
        }
    }
}

/// Every acknowledged function is there, with the code acknowledged or with the
/// code whose acknowledgement was lost.
async fn check_against(account: &Account, ledger: &Mutex<Ledger>) -> Result<()> {
    let (acknowledged, attempted) = {
        let ledger = locked(ledger);
        (ledger.acknowledged.clone(), ledger.attempted.clone())
    };
    for (name, says) in &acknowledged {
        let got = account.client.get_function_configuration().function_name(name).send().await;
        let got = got.with_context(|| format!("{name} was acknowledged"))?;
        let may_say = [Some(says), attempted.get(name)];
        let matches = may_say.iter().flatten().any(|says| {
            let zip = zip_of(&[("app.py", source(says).as_bytes())]);
            got.code_size() == zip.len() as i64 && got.code_sha256() == Some(&sha256_base64(&zip))
        });
        ensure!(matches, "{name} has other code than was acknowledged");
    }
    Ok(())
}

fn sha256_base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(bytes))
}

async fn kill_9_in_an_invoke_leaves_nothing() -> Result<()> {
    let dir = TempDir::with_prefix("hearth-e2e-")?;
    let options = ServerOptions::default();
    let server = Server::start_in(dir.path(), &options).await?;
    let function = Draft::python("holds", HOLDS).create(&server.default_account()?).await?;
    let running = tokio::spawn({
        let function = function.clone();
        async move { function.invoke(&json!({"seconds": 25})).await }
    });
    in_state(&server, &function, "busy").await?;
    let held = server.kill().await?;
    ensure!(!held.vmms().is_empty(), "no VMM was running: {held:?}");
    ensure!(running.await?.is_err(), "an answer from a dead server");
    // VMMs die with Hearth, before anybody cleans up.
    held.processes_gone().await?;

    // Held before, and not by the next life: whatever of it is there was left.
    let server = Server::start_in(dir.path(), &options).await?;
    let account = server.default_account()?;
    ensure!(server.sandboxes(&account).await?.is_empty());
    let function = Function { account, name: "holds".into() };
    function.call(&json!({})).await?;
    server.stop().await?;
    held.gone().await
}

async fn sigterm_lets_an_invoke_finish() -> Result<()> {
    let server = Server::start(&ServerOptions::default()).await?;
    let function = Draft::python("holds", HOLDS).create(&server.default_account()?).await?;
    let stream = function.call(&json!({})).await?;
    let running = tokio::spawn({
        let function = function.clone();
        async move { function.call(&json!({"seconds": 5})).await }
    });
    in_state(&server, &function, "busy").await?;
    let held = server.holdings()?;
    server.signal(Signal::TERM)?;
    server.ended_well().await?;
    ensure!(running.await?? == stream, "answered by another sandbox");
    held.gone().await
}

async fn one_server_per_data_dir() -> Result<()> {
    let server = Server::start(&ServerOptions::default()).await?;
    let second = Life::begin(server.data_dir(), &ServerOptions::default())?;
    let (status, said) = second.ended().await?;
    ensure!(!status.success(), "{said}");
    let dir = server.data_dir().display().to_string();
    ensure!(said.contains("another `hearth up`") && said.contains(&dir), "{said}");
    ensure!(said.trim().lines().count() == 1, "one clear line: {said}");
    server.default_account()?.client.list_functions().send().await?;
    server.stop().await
}

async fn a_taken_port_is_named() -> Result<()> {
    let holder = TcpListener::bind("127.0.0.1:0")?;
    let taken = holder.local_addr()?.to_string();
    let dir = TempDir::with_prefix("hearth-e2e-")?;
    let options = ServerOptions { listen: taken.clone(), ..Default::default() };
    let (status, said) = Life::begin(dir.path(), &options)?.ended().await?;
    ensure!(!status.success(), "{said}");
    ensure!(said.contains(&taken) && said.contains("in use"), "{said}");
    Ok(())
}

async fn missing_images_are_named() -> Result<()> {
    let (dir, cache) = (TempDir::with_prefix("hearth-e2e-")?, TempDir::with_prefix("hearth-e2e-")?);
    let image_cache = Some(cache.path().to_owned());
    let options = ServerOptions { image_cache, ..Default::default() };
    let (status, said) = Life::begin(dir.path(), &options)?.ended().await?;
    ensure!(!status.success(), "{said}");
    ensure!(said.contains("hearth images build"), "{said}");
    Ok(())
}

async fn a_full_disk_is_survived() -> Result<()> {
    let disk = SmallDisk::mount(160)?;
    // The data directory lies below the mount, so that nothing else may.
    let data_dir = disk.path().join("data");
    // More is promised to sandboxes than there is, or it would take none.
    let options = ServerOptions::default().with("--disk-limit", 4096);
    let server = Server::start_in(&data_dir, &options).await?;
    let account = server.default_account()?;
    let early = Draft::python("early", &source("early")).create(&account).await?;
    ensure!(early.call(&json!({})).await? == "early");

    let ballast = disk.fill()?;
    let late = Draft::python("late", &source("late"));
    let seen = ErrorSeen::in_result(late.request(&account).send().await)?;
    ensure!(seen.status >= 500, "{seen:?}");
    internals_stay_inside(&seen, disk.path())?;
    let got = account.client.get_function().function_name("late").send().await;
    refused("ResourceNotFoundException", 404, got).context("half-created")?;
    let zip = Blob::new(zip_of(&[("app.py", source("changed").as_bytes())]));
    let update = account.client.update_function_code().function_name("early").zip_file(zip);
    let seen = ErrorSeen::in_result(update.send().await)?;
    ensure!(seen.status >= 500, "{seen:?}");
    // What needs no disk goes on.
    ensure!(early.call(&json!({})).await? == "early", "the old code still serves");
    ensure!(account.client.list_functions().send().await?.functions().len() == 1);

    std::fs::remove_file(ballast)?;
    let late = late.create(&account).await.context("after making room")?;
    ensure!(late.call(&json!({})).await? == "late");
    early.update_python(&source("changed")).await?;
    ensure!(early.call(&json!({})).await? == "changed");
    server.stop().await
}

/// An error to a user names nothing of the machine.
fn internals_stay_inside(seen: &ErrorSeen, dir: &Path) -> Result<()> {
    let dir = dir.display().to_string();
    for internal in [dir.as_str(), "No space", "os error", "redb"] {
        ensure!(!seen.body.contains(internal), "{internal:?} leaks: {seen:?}");
    }
    Ok(())
}

async fn a_killed_vmm_is_replaced() -> Result<()> {
    let server = Server::start(&ServerOptions::default()).await?;
    let function = Draft::python("holds", HOLDS).create(&server.default_account()?).await?;

    // While it is idle nobody notices but the next caller, who gets a fresh one.
    let first = function.call(&json!({})).await?;
    kill_vmms(&server).await?;
    let second = function.call(&json!({})).await?;
    ensure!(second != first, "a dead sandbox answered");

    // While it is busy its caller is told, at once.
    let running = tokio::spawn({
        let function = function.clone();
        async move { function.invoke(&json!({"seconds": 25})).await }
    });
    in_state(&server, &function, "busy").await?;
    kill_vmms(&server).await?;
    let answer = tokio::time::timeout(SOON / 3, running).await.context("nobody is told")???;
    let failure = answer.failure()?;
    ensure!(failure.error_type == "Sandbox.Failure", "{failure:?}");
    let third = function.call(&json!({})).await?;
    ensure!(third != second, "a dead sandbox answered");
    server.stop().await
}

/// Kills the server's VMMs, the sandbox's one and those that serve nobody yet, and
/// waits for their end.
async fn kill_vmms(server: &Server) -> Result<()> {
    let vmms = server.holdings()?.vmms();
    ensure!(!vmms.is_empty(), "there is no VMM");
    for vmm in &vmms {
        let pid = Pid::from_raw(*vmm).context("a process has an id")?;
        match kill_process(pid, Signal::KILL) {
            // It had ended by itself.
            Err(rustix::io::Errno::SRCH) => {}
            killed => killed?,
        }
    }
    eventually("the end of the killed VMMs", SOON, async || {
        let living = vmms.iter().any(|vmm| Path::new("/proc").join(vmm.to_string()).exists());
        Ok((!living).then_some(()))
    })
    .await
}
