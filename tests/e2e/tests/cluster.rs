//! A cluster of real processes, over real etcd, a real S3 server and mutual TLS: any front
//! end serves, and what fails is made good by whoever is left.

use anyhow::{Context, Result, ensure};
use aws_sdk_lambda::types::InvocationType;
use hearth_e2e::{
    Account, BUCKET, Case, Cluster, Draft, Function, PREFIX, Plan, eventually, page, percentile,
    run,
};
use hearth_test_servers::Signal as EtcdSignal;
use rustix::process::Signal;
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Longest that anything may take that nothing says more about.
const SOON: Duration = Duration::from_secs(40);
/// Median time until what one front end acknowledged is seen by all others, in milliseconds.
const SEEN_MS: f64 = 100.0;
const SEEN_ROUNDS: usize = 10;
/// Longest failover: of a leader that died, sooner than its lease would tell; and of one
/// that hangs, twice what is promised, for machines that do other things besides.
const DIED_MAX: Duration = Duration::from_secs(3);
const HANGS_MAX: Duration = Duration::from_secs(10);

/// Three that lead and serve, each in a zone of its own, and two that run sandboxes.
const PLANS: [Plan; 5] = [
    ("lead-a", "a", &["frontend", "assignment", "control"]),
    ("lead-b", "b", &["frontend", "assignment", "control"]),
    ("lead-c", "c", &["frontend", "assignment", "control"]),
    ("work-a", "a", &["worker"]),
    ("work-b", "b", &["worker"]),
];
const LEADERS: [&str; 3] = ["lead-a", "lead-b", "lead-c"];

const SOURCE: &str = r#"
import time
def handler(event, context):
    print("in", context.log_stream_name)
    time.sleep(event.get("seconds", 0))
    return [context.log_stream_name, "VERSION"]
"#;

fn main() -> ExitCode {
    let cases = vec![
        Case::new("leaders_come_and_go", leaders_come_and_go),
        Case::new("workers_and_stores_come_and_go", workers_and_stores_come_and_go),
    ];
    run(1, cases)
}

/// The sandbox that served, and what its code says of itself.
async fn served(function: &Function, seconds: u32) -> Result<(String, String)> {
    let said = function.call(&json!({ "seconds": seconds })).await?;
    let at = |n: usize| said[n].as_str().map(str::to_owned).context("two texts");
    Ok((at(0)?, at(1)?))
}

/// The function as a client of another front end.
async fn at(cluster: &mut Cluster, name: &str, function: &Function) -> Result<Function> {
    Ok(Function { account: cluster.account_at(name).await?, name: function.name.clone() })
}

/// Who leads the partition that has sandboxes, and a front end that does not.
async fn leader(cluster: &Cluster) -> Result<(&'static str, &'static str)> {
    eventually("somebody leads the function's partition", SOON, || async {
        let status = cluster.status().await?;
        let has_some = |counts: [usize; 3]| counts.iter().sum::<usize>() > 0;
        let found = status.partitions.iter().find(|p| p.sandboxes.is_some_and(has_some));
        let Some(found) = found else { return Ok(None) };
        let at = |name: &&&str| **name == found.leader.node.as_str();
        let leads = LEADERS.iter().find(at).copied().context("a leader is one of ours")?;
        let other = LEADERS.iter().find(|name| **name != leads && cluster.nodes[**name].runs());
        Ok(Some((leads, *other.context("another runs")?)))
    })
    .await
}

async fn leaders_come_and_go() -> Result<()> {
    let mut cluster = Cluster::start(1, &PLANS).await?;
    let account = cluster.account_at("lead-a").await?;
    let function = Draft::python("f", &SOURCE.replace("VERSION", "one")).create(&account).await?;
    let (sandbox, _) = served(&function, 0).await?;
    for name in LEADERS {
        let function = at(&mut cluster, name, &function).await?;
        ensure!(served(&function, 0).await? == (sandbox.clone(), "one".into()), "at {name}");
    }
    cluster.settled(3 * SOON).await?;
    let status = cluster.status().await?;
    ensure!(status.nodes.len() == PLANS.len() && status.partitions.len() == 16, "{status:?}");
    for partition in &status.partitions {
        ensure!(partition.followers.len() == 2, "{partition:?}");
    }

    seen_everywhere(&mut cluster).await?;

    // A leader dies while an event runs: the event goes on, and so does its sandbox.
    let (leads, other) = leader(&cluster).await?;
    let function = at(&mut cluster, other, &function).await?;
    let running = tokio::spawn({
        let function = function.clone();
        async move { served(&function, 20).await }
    });
    sandboxes(&cluster, "an event runs", |[.., busy]| busy > 0).await?;
    cluster.node(leads)?.kill().await?;
    let killed = Instant::now();
    let (second, _) = served(&function, 0).await?;
    let took = killed.elapsed();
    println!("a leader was killed: the next event was served after {took:?}, in a new sandbox");
    ensure!(second != sandbox, "the first was busy");
    ensure!(running.await??.0 == sandbox, "the event that ran went on");
    let again = [served(&function, 0).await?.0, served(&function, 0).await?.0];
    ensure!(again.iter().all(|s| [&sandbox, &second].contains(&s)), "both are still there");
    cluster.node(leads)?.start().await?;
    cluster.settled(3 * SOON).await?;

    // Idle sandboxes serve on at once.
    let (leads, other) = leader(&cluster).await?;
    let function = at(&mut cluster, other, &function).await?;
    cluster.node(leads)?.kill().await?;
    let killed = Instant::now();
    let (reused, _) = served(&function, 0).await?;
    let took = killed.elapsed();
    println!("a leader was killed: an idle sandbox served after {took:?}");
    ensure!([&sandbox, &second].contains(&&reused) && took < DIED_MAX, "{reused} after {took:?}");
    cluster.node(leads)?.start().await?;
    cluster.settled(3 * SOON).await?;

    // One hangs, is replaced, and does no harm when it goes on.
    let (leads, other) = leader(&cluster).await?;
    let function = at(&mut cluster, other, &function).await?;
    cluster.node(leads)?.signal(Signal::STOP)?;
    let froze = Instant::now();
    let (reused, _) = served(&function, 0).await?;
    let took = froze.elapsed();
    println!("a leader was frozen: an idle sandbox served after {took:?}");
    ensure!([&sandbox, &second].contains(&&reused) && took < HANGS_MAX, "{reused} after {took:?}");
    cluster.node(leads)?.signal(Signal::CONT)?;
    for name in LEADERS {
        let function = at(&mut cluster, name, &function).await?;
        let (reused, _) = served(&function, 0).await?;
        ensure!([&sandbox, &second].contains(&&reused), "{reused} at {name}");
    }

    // One is told to stop, and nobody notices.
    let (leads, other) = leader(&cluster).await?;
    let function = at(&mut cluster, other, &function).await?;
    // Its own calls come to their end, even one that has no sandbox yet.
    let own = at(&mut cluster, leads, &function).await?;
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let own = own.clone();
        calls.spawn(async move { served(&own, 1).await });
    }
    sandboxes(&cluster, "a third sandbox starts", |[starting, ..]| starting > 0).await?;
    let (stopped, served) = tokio::join!(cluster.node(leads)?.stop(), async {
        for _ in 0..20 {
            served(&function, 0).await?;
        }
        anyhow::Ok(())
    });
    stopped?;
    served?;
    while let Some(call) = calls.join_next().await {
        call?.context("a call at the node that was told to stop")?;
    }

    // New code serves everywhere, and nothing that is deleted does anywhere.
    function.update_python(&SOURCE.replace("VERSION", "two")).await?;
    let others: Vec<&str> = LEADERS.into_iter().filter(|name| *name != leads).collect();
    for name in &others {
        let function = at(&mut cluster, name, &function).await?;
        eventually("the new code serves", SOON, || async {
            Ok((function.call(&json!({})).await?[1] == "two").then_some(()))
        })
        .await?;
    }
    function.account.client.delete_function().function_name("f").send().await?;
    for name in &others {
        let function = at(&mut cluster, name, &function).await?;
        eventually("it is gone", SOON, || async {
            Ok(function.invoke(&json!({})).await.is_err().then_some(()))
        })
        .await?;
    }
    cluster.stop().await
}

/// What one front end has acknowledged the others do at once: a function that was created
/// can be invoked, and one that was deleted cannot.
async fn seen_everywhere(cluster: &mut Cluster) -> Result<()> {
    let own = cluster.account_at("lead-a").await?;
    let others = [cluster.account_at("lead-b").await?, cluster.account_at("lead-c").await?];
    let mut took = Vec::new();
    for round in 0..SEEN_ROUNDS {
        let function = Draft::python(&format!("seen-{round}"), "def handler(e, c): pass");
        let function = function.create(&own).await?;
        took.push(seen(&others, &function.name, true).await?);
        own.client.delete_function().function_name(&function.name).send().await?;
        took.push(seen(&others, &function.name, false).await?);
    }
    let at = |share| percentile(&took, share).context("some were measured");
    let (median, most) = (at(0.5)?, at(1.0)?);
    println!(
        "acknowledged by one front end, seen by the others: {median:.1} ms, {most:.1} at most"
    );
    ensure!(median <= SEEN_MS, "{took:?}");
    Ok(())
}

/// Milliseconds until each of these takes the function for there, or not there.
async fn seen(others: &[Account], name: &str, is_there: bool) -> Result<f64> {
    let acknowledged = Instant::now();
    for account in others {
        eventually("a change is seen", SOON, || async {
            let dry = account.client.invoke().function_name(name);
            let said = dry.invocation_type(InvocationType::DryRun).send().await;
            Ok((said.is_ok() == is_there).then_some(()))
        })
        .await?;
    }
    Ok(acknowledged.elapsed().as_secs_f64() * 1000.0)
}

/// Whether a front end says that it is ready.
async fn is_ready(endpoint: &str) -> Result<bool> {
    let address = endpoint.strip_prefix("http://").context("an address")?;
    let answer = page(address, "/hearth/v1/ready").await?;
    Ok(answer.starts_with("HTTP/1.1 200 "))
}

/// Waits until a partition's sandboxes, starting, idle and busy, are like this.
async fn sandboxes(cluster: &Cluster, what: &str, are: fn([usize; 3]) -> bool) -> Result<()> {
    eventually(what, SOON, || async {
        let status = cluster.status().await?;
        let found = status.partitions.iter().any(|p| p.sandboxes.is_some_and(are));
        Ok(found.then_some(()))
    })
    .await
}

async fn workers_and_stores_come_and_go() -> Result<()> {
    let mut cluster = Cluster::start(3, &PLANS).await?;
    let account = cluster.account_at("lead-a").await?;
    let function = Draft::python("f", &SOURCE.replace("VERSION", "one")).create(&account).await?;
    served(&function, 0).await?;
    cluster.s3.make_empty_object(BUCKET, &left_over()).await;

    // Workers die one after the other; the other's sandboxes serve.
    let mut streams = vec![];
    for name in ["work-a", "work-b"] {
        cluster.node(name)?.kill().await?;
        eventually("the other worker serves", SOON, || async {
            Ok(function.invoke(&json!({})).await.ok())
        })
        .await?;
        streams.push(served(&function, 0).await?.0);
        cluster.node(name)?.start().await?;
    }
    // Each kept what was logged there, and any front end reads all of it.
    let elsewhere = cluster.account_at("lead-c").await?;
    eventually("the lines of both workers", SOON, || async {
        let log = elsewhere.logs("f").await?;
        let is_there = |stream: &String| log.lines().any(|line| line == format!("in {stream}"));
        Ok(streams.iter().all(is_there).then_some(()))
    })
    .await?;

    // Objects are gone: what is warm serves on.
    let (sandbox, _) = served(&function, 0).await?;
    cluster.s3.kill();
    ensure!(served(&function, 0).await?.0 == sandbox, "no object is needed");
    cluster.s3.restart().await;

    // A member of etcd dies, and then all hang: what was acknowledged is there afterwards,
    // and nobody has to do anything.
    let leads = cluster.etcd.leader().await;
    cluster.etcd.nodes[leads].kill();
    served(&function, 0).await?;
    function.update_python(&SOURCE.replace("VERSION", "two")).await?;
    for (at, member) in cluster.etcd.nodes.iter().enumerate() {
        if at != leads {
            member.signal(EtcdSignal::SIGSTOP);
        }
    }
    let endpoint = cluster.node("lead-a")?.endpoint.clone().context("it is a front end")?;
    ensure!(is_ready(&endpoint).await?, "until its lease ends");
    eventually("a front end without etcd is not ready", SOON, || async {
        Ok((!is_ready(&endpoint).await?).then_some(()))
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for (at, member) in cluster.etcd.nodes.iter().enumerate() {
        if at != leads {
            member.signal(EtcdSignal::SIGCONT);
        }
    }
    cluster.etcd.run(leads);
    eventually("it serves again", SOON, || async { Ok(function.invoke(&json!({})).await.ok()) })
        .await?;
    ensure!(served(&function, 0).await?.1 == "two", "what was acknowledged is there");
    ensure!(is_ready(&endpoint).await?, "it has its place again");
    garbage_goes(&cluster).await?;
    cluster.stop().await
}

/// A chunk that a write left which a crash cut off.
fn left_over() -> String {
    format!("{PREFIX}/chunks/ab/{}", "ab".repeat(32))
}

/// What nothing needs is collected, by one node for all; what is needed stays.
async fn garbage_goes(cluster: &Cluster) -> Result<()> {
    eventually("what a crash left is gone", 3 * SOON, || async {
        Ok((!cluster.s3.has_object(BUCKET, &left_over()).await).then_some(()))
    })
    .await?;
    cluster.operate("work-a", &["snapshots", "verify"]).await?;
    let refused = cluster.operate("lead-a", &["gc", "--grace", "0"]).await;
    let refused = refused.err().context("nodes have one grace")?.to_string();
    ensure!(refused.contains("gc-grace-s"), "{refused}");
    // Any node may be asked to, if it is time.
    let asked = eventually("a collection that was asked for", SOON, || async {
        match cluster.operate("lead-b", &["gc"]).await {
            Ok(done) => Ok(Some(done)),
            Err(error) if is_untimely(&error) => Ok(None),
            Err(error) => Err(error),
        }
    });
    let asked = asked.await?;
    ensure!(asked["chunks_deleted"].is_u64() && asked["grace_s"] == 100, "{asked}");
    Ok(())
}

/// Whether a collection is to be asked for later.
fn is_untimely(error: &anyhow::Error) -> bool {
    let said = error.to_string();
    ["some time apart", "another node is collecting", "another collection"]
        .iter()
        .any(|untimely| said.contains(untimely))
}
