//! `hearth sim`: runs a fleet that does not exist, to see what its planners make of it.

use crate::output;
use anyhow::Context;
use hearth_sim::{Kind, Scenario};
use tokio::time::Instant;

/// Arguments of `hearth sim`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The planners, the leaders' table of sandboxes, the forecast and the capacity manager's decisions
are the real ones; workers, time and traffic are made up. The same seed gives the same run, to the last figure: the digest says so.
docs/fleet.md says what the figures mean.")]
pub(crate) struct SimArgs {
    /// What befalls the fleet: steady, zone-loss, flash-crowd, rolling-restarts or leader-loss;
    /// all of them, one after the other, if none is named
    #[arg(value_name = "SCENARIO")]
    kind: Option<Kind>,
    /// Workers at the start
    #[arg(long, value_name = "N", default_value_t = 100)]
    workers: u32,
    /// Functions, most of which are called rarely
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    functions: u32,
    /// How long, in minutes of the fleet's time
    #[arg(long, value_name = "N", default_value_t = 60)]
    minutes: u32,
    /// What chance is made of
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Runs it, and prints what came of it.
pub(crate) async fn run(args: SimArgs) -> anyhow::Result<()> {
    let kinds = args.kind.map_or_else(|| Kind::ALL.to_vec(), |kind| vec![kind]);
    for kind in kinds {
        let scenario = Scenario::new(kind, args.workers, args.functions, args.minutes);
        let began = Instant::now();
        // It computes and waits for nothing.
        let seed = args.seed;
        let run = tokio::task::spawn_blocking(move || hearth_sim::run(&scenario, seed));
        let report = run.await.context("the simulation broke one of its invariants")??;
        let took = began.elapsed().as_secs_f64();
        output::text(&format!("{report}\n  took          {took:.1} s\n"))?;
    }
    Ok(())
}
