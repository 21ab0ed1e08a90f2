//! A capacity manager that starts its workers itself, as processes of this host: they come
//! where there are none, more of them when calls are refused, and another when one dies or
//! hangs.

use anyhow::{Context, Result, ensure};
use aws_sdk_lambda::error::ProvideErrorMetadata;
use hearth_e2e::{Account, Case, Cluster, Draft, Function, Places, Plan, eventually, run};
use hearth_test_servers::Place;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Longest that the manager may take: it looks every ten seconds, takes a silent worker for
/// sick after 45 s, and one that starts makes images of its own first.
const MANAGED: Duration = Duration::from_secs(240);
/// Between two tries of a client that was refused.
const PAUSE: Duration = Duration::from_secs(2);
/// As many as one worker has room for, in each of two zones, and as many again.
const CALLERS: usize = 8;
/// All that the manager may ever have running at once.
const NAMES: usize = 8;

const PLANS: [Plan; 1] = [("boss", "a", &["frontend", "control", "assignment", "capacity"])];

const SOURCE: &str = r#"
import time
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return context.log_stream_name
"#;

fn main() -> ExitCode {
    run(1, vec![Case::new("workers_come_and_go", workers_come_and_go).long()])
}

/// The processes that the manager has started, by the nodes' names.
struct Workers {
    dir: PathBuf,
}

impl Workers {
    /// Has the node manage workers like itself: each has a certificate of its own, and room
    /// for two sandboxes.
    async fn of(cluster: &Cluster) -> Result<Self> {
        let boss = cluster.nodes["boss"].config().to_owned();
        let text = std::fs::read_to_string(&boss)?;
        let dir = cluster.data_dir("workers");
        std::fs::create_dir_all(&dir)?;
        let bundle = cluster.issue("auto-0").await?;
        for number in 1..NAMES {
            cluster.issue(&format!("auto-{number}")).await?;
        }
        let bundle = bundle.display().to_string().replace("auto-0", "{name}");
        let template: String = text
            .lines()
            .map(|line| match line.split_once(" = ") {
                Some(("name", _)) => "name = \"{name}\"\n".to_owned(),
                Some(("zone", _)) => "zone = \"{zone}\"\n".to_owned(),
                Some(("data-dir", _)) => "data-dir = \"{data-dir}\"\n".to_owned(),
                Some(("bundle", _)) => format!("bundle = {bundle:?}\n"),
                Some(("sandboxes-max", _)) => "sandboxes-max = 2\n".to_owned(),
                _ => format!("{line}\n"),
            })
            .collect();
        let path = dir.join("template.toml");
        std::fs::write(&path, template)?;
        let managed = format!(
            "{text}[capacity]\nmin-workers = 1\nmax-workers = 2\nzones = [\"a\", \"b\"]\n\
             [capacity.provider.process]\ntemplate = {path:?}\ndata-dir = {dir:?}\n\
             name = \"auto\"\nend-with-manager = true\n"
        );
        std::fs::write(&boss, managed)?;
        Ok(Self { dir })
    }

    /// Waits until each zone has a worker that is none of these.
    async fn replaced(&self, cluster: &Cluster, what: &str, gone: &[Pid]) -> Result<()> {
        let began = Instant::now();
        eventually(&format!("another came for {what}"), MANAGED, || async {
            let running = self.running()?;
            let is_new = |name: &String| running.get(name).is_some_and(|pid| !gone.contains(pid));
            let zones = zones(cluster).await?;
            Ok((zones.len() == 2 && zones.values().all(|z| z.iter().any(is_new))).then_some(()))
        })
        .await?;
        println!("another came for {what}: after {:.1?}", began.elapsed());
        Ok(())
    }

    /// Those that run.
    fn running(&self) -> Result<BTreeMap<String, Pid>> {
        let mut running = BTreeMap::new();
        for number in 0..NAMES {
            let name = format!("auto-{number}");
            let Ok(bytes) = std::fs::read(self.dir.join(format!("{name}.process"))) else {
                continue;
            };
            let known: serde_json::Value = serde_json::from_slice(&bytes)?;
            let pid = known["process"]["pid"].as_i64().context("a process has a number")?;
            let pid = Pid::from_raw(i32::try_from(pid)?).context("which is not 0")?;
            if test_kill_process(pid).is_ok() {
                running.insert(name, pid);
            }
        }
        Ok(running)
    }
}

/// Names of the workers that the cluster has, by zone.
async fn zones(cluster: &Cluster) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut zones: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in cluster.status().await?.nodes.into_iter().filter(|node| node.name != "boss") {
        zones.entry(node.zone).or_default().insert(node.name);
    }
    Ok(zones)
}

/// Waits until both zones have workers, as many as said.
async fn have(cluster: &Cluster, what: &str, each: fn(&BTreeSet<String>) -> bool) -> Result<()> {
    let began = Instant::now();
    eventually(what, MANAGED, || async {
        let zones = zones(cluster).await?;
        Ok((zones.len() == 2 && zones.values().all(each)).then_some(()))
    })
    .await?;
    println!("{what}: after {:.1?}", began.elapsed());
    Ok(())
}

async fn workers_come_and_go() -> Result<()> {
    let places =
        Places { etcd: vec![Place::loopback()], s3: Place::loopback(), nodes: BTreeMap::new() };
    let mut cluster = Cluster::prepare(&places, &PLANS).await?;
    let workers = Workers::of(&cluster).await?;
    cluster.start_nodes().await?;
    have(&cluster, "each zone has a worker", |zone| zone.len() == 1).await?;
    let account = cluster.account_at("boss").await?;
    let function = Draft::python("f", SOURCE).timeout_s(60).create(&account).await?;
    function.call(&json!({})).await?;

    // One dies, and another hangs: zones have workers again, and calls go on meanwhile.
    let before = workers.running()?;
    let (dies, hangs) = (before["auto-0"], before["auto-1"]);
    kill_process(dies, Signal::KILL)?;
    eventually("the other serves", MANAGED, || async {
        Ok(function.invoke(&json!({})).await.ok())
    })
    .await?;
    workers.replaced(&cluster, "the one that died", &[dies]).await?;
    kill_process(hangs, Signal::STOP)?;
    workers.replaced(&cluster, "the one that hangs", &[dies, hangs]).await?;
    // Whether it is to be stopped or goes on is the manager's to say.
    kill_process(hangs, Signal::CONT)?;
    function.call(&json!({})).await?;

    // More calls than there is room for: some are refused, the fleet grows, all are served.
    let refused = crowd(&account, &function).await?;
    ensure!(refused > 0, "there was room for all");
    println!("{CALLERS} calls at once: refused {refused} times until there was room");
    have(&cluster, "the fleet has grown", |zone| zone.len() == 2).await?;

    // What the manager started ends with it.
    let left = workers.running()?;
    cluster.stop().await?;
    for (name, pid) in left {
        eventually(&format!("{name} ends"), MANAGED, || async {
            Ok(test_kill_process(pid).is_err().then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// Calls that run at once, each tried until it is served; how often they were refused, which
/// must be said as AWS says it.
async fn crowd(account: &Account, function: &Function) -> Result<u32> {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (client, name) = (account.client.clone(), function.name.clone());
        callers.spawn(async move {
            let (mut refused, began) = (0, Instant::now());
            loop {
                let event = serde_json::to_vec(&json!({ "seconds": 20 }))?;
                let call = client.invoke().function_name(&name).payload(event.into());
                let error = match call.send().await {
                    Ok(answer) if answer.function_error().is_none() => return Ok(refused),
                    Ok(answer) => anyhow::bail!("{answer:?}"),
                    Err(error) => error,
                };
                let code = error.code().unwrap_or_default().to_owned();
                ensure!(code == "TooManyRequestsException", "{error:?}");
                ensure!(began.elapsed() < MANAGED, "refused for too long: {error:?}");
                refused += 1;
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    let mut refused = 0;
    while let Some(called) = callers.join_next().await {
        refused += called??;
    }
    Ok(refused)
}
