//! Scaling out to the host's capacity, and what happens at it: eviction of the
//! idle, 429 for the rest, and never two invocations in one sandbox.

use anyhow::{Context, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use hearth_e2e::{
    Account, Draft, ErrorSeen, Function, Server, ServerCase, ServerOptions, eventually, run_on,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the server is told to hold.
const SANDBOXES_MAX: usize = 4;
/// Longest that a refusal may take: it needs no sandbox.
const REFUSED_WITHIN: Duration = Duration::from_secs(2);
/// Longest that a state may take to come about.
const SOON: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let cases = vec![ServerCase::new("one_machine_shared_by_all", one_machine_shared_by_all)];
    // One case, as each step fills the machine.
    run_on(ServerOptions::default().with("--sandboxes-max", SANDBOXES_MAX), 1, cases)
}

async fn one_machine_shared_by_all(server: Arc<Server>) -> Result<()> {
    let account = server.default_account()?;
    scales_out(&account).await.context("scaling out")?;
    evicts_the_idle(&server, &account).await.context("evicting")?;
    refuses_beyond_capacity(&server, &account).await.context("beyond capacity")?;
    never_two_at_once(&server).await.context("one at a time")
}

const HOLDS: &str = r#"
import time
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return context.log_stream_name
"#;

/// As many invocations at once, as many sandboxes; and afterwards they are warm.
async fn scales_out(account: &Account) -> Result<()> {
    let function = Draft::python("scales", HOLDS).memory_mb(512).create(account).await?;
    let event = json!({"seconds": 1});
    let burst = || async {
        let calls = (0..SANDBOXES_MAX).map(|_| function.call(&event));
        let streams = try_join_all(calls).await?;
        anyhow::Ok(streams.iter().map(Value::to_string).collect::<BTreeSet<_>>())
    };
    let cold = burst().await?;
    ensure!(cold.len() == SANDBOXES_MAX, "{cold:?}");
    let warm = burst().await?;
    ensure!(warm == cold, "{warm:?} where {cold:?} were idle");
    Ok(())
}

/// A machine full of idle sandboxes has room for another function.
async fn evicts_the_idle(server: &Server, account: &Account) -> Result<()> {
    let idle = server.sandboxes(account).await?;
    ensure!(idle.len() == SANDBOXES_MAX && idle.iter().all(|s| s.state == "idle"), "{idle:?}");
    let other = server.new_account("other").await?;
    let function = Draft::python("newcomer", HOLDS).memory_mb(512).create(&other).await?;
    function.call(&json!({})).await?;
    let left = server.sandboxes(account).await?;
    ensure!(left.len() == SANDBOXES_MAX - 1, "one had to go: {left:?}");
    Ok(())
}

/// A machine full of busy ones has not, and says so at once.
async fn refuses_beyond_capacity(server: &Server, account: &Account) -> Result<()> {
    let holds = Function { account: account.clone(), name: "scales".into() };
    let running: Vec<_> = (0..SANDBOXES_MAX)
        .map(|_| {
            let holds = holds.clone();
            tokio::spawn(async move { holds.call(&json!({"seconds": 15})).await })
        })
        .collect();
    eventually("a machine full of busy sandboxes", SOON, || async {
        let sandboxes = server.sandboxes(account).await?;
        let busy = sandboxes.iter().filter(|s| s.state == "busy").count();
        Ok((busy == SANDBOXES_MAX).then_some(()))
    })
    .await?;

    let other = server.new_account("refused").await?;
    let newcomer = Draft::python("newcomer", HOLDS).memory_mb(512).create(&other).await?;
    for function in [&holds, &newcomer] {
        let began = Instant::now();
        let seen = ErrorSeen::in_result(function.request(&json!({})).send().await)?;
        let took = began.elapsed();
        ensure!(seen.code == "TooManyRequestsException" && seen.status == 429, "{seen:?}");
        let body: Value = serde_json::from_str(&seen.body)?;
        ensure!(body["Reason"] == "ConcurrentInvocationLimitExceeded", "{seen:?}");
        ensure!(took < REFUSED_WITHIN, "{took:?} to refuse");
    }
    // The refusals cost the running ones nothing, and afterwards there is room.
    for call in running {
        call.await??;
    }
    newcomer.call(&json!({})).await?;
    Ok(())
}

/// More clients than sandboxes: in each sandbox one invocation follows the other.
/// Who is refused tries again.
async fn never_two_at_once(server: &Server) -> Result<()> {
    const SOURCE: &str = r#"
import os, threading, time
inside = 0
served = 0
def handler(event, context):
    global inside, served
    inside += 1
    overlap = inside > 1
    try: os.close(os.open("/tmp/lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError: overlap = True
    time.sleep(0.02)
    served += 1
    answer = {"overlap": overlap, "n": event["n"], "served": served,
              "stream": context.log_stream_name}
    if os.path.exists("/tmp/lock"): os.remove("/tmp/lock")
    inside -= 1
    return answer
"#;
    const CLIENTS: usize = SANDBOXES_MAX + 2;
    const CALLS: usize = 20;
    let account = server.new_account("stress").await?;
    let function = Draft::python("stress", SOURCE).memory_mb(512).create(&account).await?;
    let clients = (0..CLIENTS).map(|client| {
        let function = &function;
        async move {
            let mut answers = Vec::new();
            for call in 0..CALLS {
                answers.push(call_until_served(function, client * CALLS + call).await?);
            }
            anyhow::Ok(answers)
        }
    });
    let mut seen = BTreeSet::new();
    for answers in join_all(clients).await {
        for answer in answers? {
            ensure!(answer["overlap"] == false, "two at once: {answer}");
            // Each invocation has its own place in its sandbox's history.
            let place = (answer["stream"].to_string(), answer["served"].as_u64());
            ensure!(seen.insert(place), "counted twice: {answer}");
        }
    }
    ensure!(seen.len() == CLIENTS * CALLS, "{} answers", seen.len());
    let streams: BTreeSet<_> = seen.iter().map(|(stream, _)| stream).collect();
    ensure!(streams.len() >= 2, "nothing ran side by side: {streams:?}");
    Ok(())
}

async fn call_until_served(function: &Function, n: usize) -> Result<Value> {
    let event = json!({ "n": n });
    let answer = eventually("room", SOON, || async {
        match function.request(&event).send().await {
            Ok(output) => Ok(Some(hearth_e2e::Answer::from(output).json()?)),
            refused => {
                let seen = ErrorSeen::in_result(refused)?;
                ensure!(seen.status == 429, "{seen:?}");
                Ok(None)
            }
        }
    })
    .await?;
    ensure!(answer["n"] == n, "another's answer: {answer}");
    Ok(answer)
}
