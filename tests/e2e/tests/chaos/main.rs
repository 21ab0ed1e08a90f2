//! Faults at random, from a seed, while clients go on calling: afterwards the cluster is
//! whole again by itself, nothing that was acknowledged is lost, and no sandbox is left over.
//!
//! `cargo xtask chaos` runs it for ten minutes; with the other tests it runs for one.

mod fault;

use anyhow::{Context, Result, ensure};
use fault::Fault;
use hearth_e2e::{Case, Cluster, Load, Plan, run};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long, unless `HEARTH_CHAOS_SECONDS` says otherwise.
const SECONDS: u64 = 60;
/// Longest time until all is well again.
const HEALED_MAX: Duration = Duration::from_secs(60);

const PLANS: [Plan; 5] = [
    ("lead-a", "a", &["frontend", "assignment", "control"]),
    ("lead-b", "b", &["frontend", "assignment", "control"]),
    ("lead-c", "c", &["frontend", "assignment", "control"]),
    ("work-a", "a", &["worker"]),
    ("work-b", "b", &["worker"]),
];

fn main() -> ExitCode {
    run(1, vec![Case::new("chaos", chaos).long_if(seconds() > SECONDS)])
}

fn seconds() -> u64 {
    variable("HEARTH_CHAOS_SECONDS").unwrap_or(SECONDS)
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

async fn chaos() -> Result<()> {
    let seed = variable("HEARTH_CHAOS_SEED").unwrap_or_else(|| rand::rng().random());
    println!("chaos: seed {seed}, {} s", seconds());
    let mut random = StdRng::seed_from_u64(seed);
    let mut cluster = Cluster::start(3, &PLANS).await?;
    let mut fronts = Vec::new();
    for (name, ..) in &PLANS[..3] {
        fronts.push(cluster.account_at(name).await?);
    }
    let load = Load::start(fronts.clone()).await?;

    let mut injected: BTreeMap<&str, u32> = BTreeMap::new();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds()) {
        let fault = Fault::random(&mut random);
        *injected.entry(fault.name()).or_default() += 1;
        fault
            .befalls(&mut cluster, &mut random)
            .await
            .with_context(|| format!("{} (seed {seed})", fault.name()))?;
        // What comes next may meet what this has left, or not.
        tokio::time::sleep(Duration::from_millis(random.random_range(500..4000))).await;
    }

    // All is well again, without anybody's help.
    for front in &fronts {
        load.serves(front, HEALED_MAX).await.with_context(|| format!("seed {seed}"))?;
        load.shows(front, HEALED_MAX).await.with_context(|| format!("seed {seed}"))?;
    }
    let done = load.stop().await;
    println!("| fault | times |\n|---|--:|");
    injected.iter().for_each(|(fault, times)| println!("| {fault} | {times} |"));
    println!("| calls | |\n|---|--:|");
    println!("| served | {} |\n| failed after retries | {} |", done.served, done.failed.len());
    println!("| acknowledged changes | {} |", done.acknowledged);
    done.failed.iter().take(5).for_each(|why| println!("failed: {why}"));
    done.alone().with_context(|| format!("seed {seed}"))?;
    cluster.agrees(HEALED_MAX).await.with_context(|| format!("seed {seed}"))?;
    ensure!(done.served > 0, "nothing was served (seed {seed})");
    cluster.stop().await
}
