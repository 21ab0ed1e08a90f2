//! No two sandboxes share a page of physical memory, or a file whose cached pages
//! they could share, though they are clones of one snapshot; and there is room for
//! many of them.

use anyhow::{Result, ensure};
use hearth_e2e::{
    Draft, Function, Held, SandboxLine, Server, ServerCase, ServerOptions, eventually, run_on,
};
use serde_json::json;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sandboxes that live at once.
const MANY: usize = 50;
/// What they may be promised together: less than it is cannot be shown, more would be
/// taken from a machine that does not have it.
const PROMISED_MIB: usize = 20 * 1024;
/// How long each holds its sandbox: until all others have one, emulated.
const HOLD_FEW: Duration = Duration::from_secs(25);
const HOLD_MANY: Duration = Duration::from_secs(40);
/// Fewest pages that a clone has touched once it has answered. A restore of Python
/// reads some 800.
const TOUCHED_MIN: usize = 500;
/// A guest's files: memory, three images and a scratch disk.
const FILES: usize = 5;

fn main() -> ExitCode {
    let cases = vec![
        ServerCase::new("clones_share_no_page", clones_share_no_page),
        ServerCase::new("fifty_clones_live_at_once", fifty_clones_live_at_once).long(),
    ];
    let options = ServerOptions::default().with("--memory-limit", PROMISED_MIB);
    run_on(options, 1, cases)
}

const HOLDS: &str = r#"
import socket, time
BORN = time.time_ns()
BALLAST = bytes(range(256)) * 4096 * 8
def handler(event, context):
    total = sum(BALLAST[::4096])
    time.sleep(event.get("seconds", 0))
    return [BORN, socket.gethostname(), total]
"#;

async fn published(server: &Server, name: &str, memory_mb: i32) -> Result<Function> {
    let draft = Draft::python(name, HOLDS).memory_mb(memory_mb).timeout_s(150).snap_start();
    draft.create(&server.default_account()?).await?.publish_active().await
}

/// Runs it in so many sandboxes at once; waits until all run.
async fn busy(
    server: &Server,
    function: &Function,
    count: usize,
    hold: Duration,
) -> Result<Vec<tokio::task::JoinHandle<Result<serde_json::Value>>>> {
    let running: Vec<_> = (0..count)
        .map(|_| {
            let function = function.clone();
            tokio::spawn(async move { function.call(&json!({"seconds": hold.as_secs()})).await })
        })
        .collect();
    eventually(&format!("{count} busy sandboxes"), hold, || async {
        if let Some(ended) = running.iter().position(|run| run.is_finished()) {
            anyhow::bail!("call {ended} is over");
        }
        let sandboxes = server.sandboxes(&function.account).await?;
        // Listed without its version.
        let name = function.name.split(':').next().unwrap_or_default();
        let is_busy = |s: &&SandboxLine| s.function == name && s.state == "busy";
        let busy = sandboxes.iter().filter(is_busy).count();
        Ok((busy == count).then_some(()))
    })
    .await?;
    Ok(running)
}

async fn clones_share_no_page(server: Arc<Server>) -> Result<()> {
    const CLONES: usize = 3;
    let function = published(&server, "shares-nothing", 256).await?;
    // One before, so that what restores touch is known and brought along.
    let first = function.call(&json!({})).await?;
    let running = busy(&server, &function, CLONES, HOLD_FEW).await?;
    // A VMM that is just being started has no memory and no files yet. One that waits for
    // a guest has no memory that was touched; its files count all the same.
    let seen: Vec<(i32, Held)> = eventually("clones that run", HOLD_FEW, || async {
        let up = server.holdings()?.vmms().into_iter().map(|pid| Some((pid, Held::of(pid).ok()?)));
        let Some(up) = up.collect::<Option<Vec<_>>>() else { return Ok(None) };
        let guests = up.iter().filter(|(_, held)| held.frames.len() >= TOUCHED_MIN).count();
        let whole = up.iter().all(|(_, held)| held.files.len() >= FILES);
        Ok((guests >= CLONES && whole).then_some(up))
    })
    .await?;
    let (mut frames, mut files) = (BTreeSet::new(), BTreeSet::new());
    for (pid, held) in &seen {
        println!("VMM {pid}: {} pages, {} files", held.frames.len(), held.files.len());
        let shared: Vec<_> = held.frames.intersection(&frames).collect();
        ensure!(shared.is_empty(), "{} pages of VMM {pid} are another's too", shared.len());
        let shared: Vec<_> = held.files.intersection(&files).collect();
        ensure!(shared.is_empty(), "files of VMM {pid} are another's too: {shared:?}");
        frames.extend(&held.frames);
        files.extend(&held.files);
    }
    // They were what they are said to be: clones of one snapshot.
    for run in running {
        let said = run.await??;
        ensure!(said[0] == first[0] && said[2] == first[2], "{said}, {first}");
    }
    Ok(())
}

async fn fifty_clones_live_at_once(server: Arc<Server>) -> Result<()> {
    let function = published(&server, "many", 128).await?;
    let first = function.call(&json!({})).await?;
    let began = Instant::now();
    let running = busy(&server, &function, MANY, HOLD_MANY).await?;
    println!("{MANY} sandboxes after {:?}", began.elapsed());
    let mut hosts = BTreeSet::new();
    for run in running {
        let said = run.await??;
        ensure!(said[0] == first[0] && said[2] == first[2], "{said}, {first}");
        hosts.insert(said[1].to_string());
    }
    println!("all answered after {:?}", began.elapsed());
    ensure!(hosts.len() == MANY, "{} sandboxes answered {MANY} calls", hosts.len());
    Ok(())
}
