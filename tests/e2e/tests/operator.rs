//! What an operator has of a server: how little it takes while it is idle, and
//! that its options do what they say.

use anyhow::{Result, ensure};
use hearth_e2e::{Case, Draft, Server, ServerOptions, eventually, run};
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Longest that a state may take to come about.
const SOON: Duration = Duration::from_secs(30);
/// Most memory of an idle server.
const RESIDENT_BYTES_MAX: u64 = 60_000_000;
/// Most CPU time of an idle server, as a share of one CPU.
const CPU_SHARE_MAX: f64 = 0.01;
/// For how long it is measured: ten ticks of the kernel's count are the bound.
const WINDOW: Duration = Duration::from_secs(10);
/// A server that used no CPU for so long has done what follows its start.
const REST: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let cases = vec![
        Case::new("an_idle_server_takes_little", an_idle_server_takes_little),
        Case::new(
            "idle_sandboxes_go_when_told_and_metrics_say_so",
            idle_sandboxes_go_when_told_and_metrics_say_so,
        ),
    ];
    run(1, cases)
}

async fn an_idle_server_takes_little() -> Result<()> {
    let server = Server::start(&ServerOptions::default()).await?;
    let (mut seen, mut since) = (server.usage()?, Instant::now());
    eventually("a server that rests after its start", SOON, || {
        let looked = server.usage().map(|now| {
            if now.cpu != seen.cpu {
                (seen, since) = (now, Instant::now());
            }
            (since.elapsed() >= REST).then_some(())
        });
        async { looked }
    })
    .await?;

    let (began, before) = (Instant::now(), server.usage()?);
    // Not for anything to happen: that nothing does is what is measured.
    tokio::time::sleep(WINDOW).await;
    let (took, after) = (began.elapsed(), server.usage()?);
    let share = (after.cpu - before.cpu).as_secs_f64() / took.as_secs_f64();
    println!("idle: {} bytes resident, {:.2} % of a CPU", after.resident_bytes, share * 100.0);
    ensure!(after.resident_bytes <= RESIDENT_BYTES_MAX, "{after:?}");
    ensure!(share < CPU_SHARE_MAX, "{before:?}, {took:?} later {after:?}");
    server.stop().await
}

async fn idle_sandboxes_go_when_told_and_metrics_say_so() -> Result<()> {
    let options = ServerOptions::default().with("--keep-alive", 1);
    let server = Server::start(&options.with("--metrics-listen", "127.0.0.1:0")).await?;
    let account = server.default_account()?;
    let source = "def handler(event, context): return event\n";
    let function = Draft::python("brief", source).create(&account).await?;
    ensure!(function.call(&json!(1)).await? == 1);
    let booted = "hearth_frontend_invokes_total{start=\"booted\",outcome=\"answered\"}";
    ensure!(server.metric(booted).await? == 1.0);
    eventually("the end of an idle sandbox", SOON, || async {
        Ok(server.sandboxes(&account).await?.is_empty().then_some(()))
    })
    .await?;
    // With a time this short, the one who looks for what is not worth keeping may come first.
    let mut ended = 0.0;
    for why in ["idle", "unwanted"] {
        let counter = format!("hearth_assignment_sandboxes_ended_total{{why=\"{why}\"}}");
        ended += server.metric(&counter).await?;
    }
    ensure!(ended == 1.0, "{ended} went");
    server.stop().await
}
