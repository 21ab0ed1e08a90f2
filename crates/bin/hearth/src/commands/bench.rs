//! `hearth bench`: measures a function.

use crate::bench::{self, Cold, Load, Report, SAMPLES_MAX, Setup, Starts, Target, Until};
use crate::client::{ApiArgs, Client};
use crate::output::{self, Output};
use crate::payload::Payload;
use anyhow::Context;
use hearth_types::{FunctionName, StartKind, Timestamp};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Invokes unless told otherwise.
const COUNT_DEFAULT: u64 = 100;
/// Cold ones take seconds each where guests are emulated.
const COUNT_DEFAULT_COLD: u64 = 10;
/// Most warm invokes after each cold one: with most connections, as many as a
/// run keeps.
const WARM_EACH_MAX: u64 = 1000;

/// Arguments of `hearth bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each connection is kept alive and invokes again as soon as it has its answer. Timed is what a
client waits for: from handing the request to the connection to the last byte of the reply;
signing is left out. Kinds of start are kept apart: warm (an idle sandbox), restored (a clone of a
snapshot), cold (a clone of its runtime's, where the function is initialised), booted. Stages come from the server: queue, assign, place, fetch, resume, unique,
init, run. overhead = total - run: all that is not the function's own work.")]
pub(crate) struct BenchArgs {
    /// The function
    #[arg(value_name = "NAME")]
    name: FunctionName,
    /// Invokes at once
    #[arg(long, short, value_name = "C", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,
    /// Invokes in all, with --cold the cold ones, with --starts those of each kind [default: 100,
    /// or 10 with either]
    #[arg(long, short = 'n', value_name = "K", conflicts_with = "duration",
          value_parser = clap::value_parser!(u64).range(1..=SAMPLES_MAX))]
    count: Option<u64>,
    /// Go on for so many seconds instead
    #[arg(long, short, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    duration: Option<u64>,
    /// The event: JSON text, @FILE, or - for standard input
    #[arg(long, short, value_name = "JSON", default_value = "{}")]
    payload: Payload,
    /// Which version: a number or $LATEST
    #[arg(long, short, value_name = "VERSION")]
    qualifier: Option<String>,
    /// Force a new sandbox for each invoke, by changing the function's description between
    /// rounds (and back at the end)
    #[arg(long)]
    cold: bool,
    /// Force these kinds of start in turns, each invoke in a new sandbox that is gone after it:
    /// warm, restored, cold, booted; --count is of each
    #[arg(long, value_name = "KINDS", value_delimiter = ',', conflicts_with = "cold",
          value_parser = parse_kind)]
    starts: Vec<StartKind>,
    /// After each cold invoke, so many warm ones on the same connection
    #[arg(long, value_name = "N", default_value_t = 0, requires = "cold",
          value_parser = clap::value_parser!(u64).range(..=WARM_EACH_MAX))]
    warm_each: u64,
    /// Write the distribution as a page: a graph, the stages and the table
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the graph alone
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    api: ApiArgs,
}

/// Runs the load and reports it.
pub(crate) async fn run(args: BenchArgs, output: Output) -> anyhow::Result<()> {
    let concurrency = usize::from(args.concurrency);
    let until = match (args.count, args.duration) {
        (_, Some(seconds)) => Until::Elapsed(Duration::from_secs(seconds)),
        (Some(count), None) => Until::Count(count),
        (None, None) if args.cold || !args.starts.is_empty() => Until::Count(COUNT_DEFAULT_COLD),
        (None, None) => Until::Count(COUNT_DEFAULT),
    };
    let target = Target {
        client: Client::new(&args.api)?,
        payload: args.payload.read()?,
        name: args.name,
        qualifier: args.qualifier,
    };
    // A load on what does not exist would count refusals.
    let before = target.client.configuration(&target.name, target.qualifier.as_deref()).await?;
    let forced = args.cold || !args.starts.is_empty();
    let samples = if args.cold {
        let cold = Cold { concurrency, until, warm_each: args.warm_each };
        bench::cold(&target, &before.description, cold).await?
    } else if forced {
        bench::starts(&target, Starts { kinds: args.starts, concurrency, until }).await?
    } else {
        bench::load(&target, Load { concurrency, until }).await?
    };
    let setup = Setup {
        function: target.name.to_string(),
        concurrency,
        forced_cold: forced,
        warm_each: args.warm_each,
        payload_bytes: target.payload.len(),
        date: Timestamp::now().to_rfc3339(),
    };
    let report = Report::new(setup, &samples);
    let write = |path: &Option<PathBuf>, render: fn(&Report) -> String| match path {
        Some(path) => save(path, &render(&report)),
        None => Ok(()),
    };
    write(&args.html, bench::page)?;
    write(&args.svg, bench::graph)?;
    match output {
        Output::Json => output::json(&report.to_json()?)?,
        Output::Table => output::text(&bench::render(&report))?,
    }
    anyhow::ensure!(report.answered() > 0, "not one invoke was answered");
    Ok(())
}

fn parse_kind(text: &str) -> Result<StartKind, String> {
    let kind = StartKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    kind.ok_or_else(|| "not one of warm, restored, cold and booted".to_owned())
}

fn save(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
