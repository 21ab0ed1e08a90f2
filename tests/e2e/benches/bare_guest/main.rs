//! Hearth next to a bare guest: cold starts and warm invokes of the same
//! function, measured in turns in the same run, so that noise hits both alike
//! and their ratio means something on any machine.
//!
//! ```text
//! each round, in random order
//!   bare     qemu-system-x86_64 ──boot─► Hello ──► Configured ──init─► InitDone, warm events
//!   hearth   `hearth bench --cold --count 1 --warm-each N` at a running `hearth up`
//! then, for restores
//!   bare     a waiting qemu-system-x86_64 ──state─► Restored ──► first answer
//!   hearth   `hearth bench --starts restored --count 1`
//! and so many at once
//! ```
//!
//! Both boot the same kernel, initramfs and disks, with the same environment
//! for the runtime. The bare one has no jail, cgroup, network or server.
#![forbid(unsafe_code)]

mod agent;
mod bare;
mod clone;
mod hearth;
mod options;
mod qmp;
mod report;
mod restores;
mod round;

use anyhow::{Context, Result, bail};
use bare::Bare;
use clone::Captured;
use hearth::Hearth;
use hearth_e2e::Server;
use hearth_images::ImageCache;
use options::{Form, Options};
use report::Report;
use restores::BURST;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// The function that is measured, in `examples/`.
const EXAMPLE: &str = "hello-python";
/// Its memory; the bare guest's too.
const MEMORY_MIB: u16 = 256;
/// Size of its `/tmp`: Lambda's default.
const TMP_BYTES: u64 = 512 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo says so when it wants a benchmark and not a test of everything.
    if !arguments.iter().any(|argument| argument == "--bench") {
        eprintln!("a benchmark: run it with cargo xtask bench");
        return ExitCode::SUCCESS;
    }
    match run(arguments.into_iter().filter(|argument| argument != "--bench")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: impl Iterator<Item = String>) -> Result<()> {
    let options = Options::parse(arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        // Not to be interrupted: only a server that serves ends without a trace.
        let cache = image_cache()?;
        let server = hearth::serve(&cache).await?;
        // Dropping the measurement ends all that it started.
        tokio::select! {
            report = measure(&options, &cache, server) => report,
            _ = interrupt.recv() => bail!("interrupted"),
            _ = terminate.recv() => bail!("terminated"),
        }
    })?;
    match options.form {
        Form::Table => print!("{}", report.table()),
        Form::Json => println!("{:#}", report.to_json()),
    }
    Ok(())
}

async fn measure(options: &Options, cache: &Path, server: Server) -> Result<Report> {
    let load = load_average()?;
    let cache = ImageCache::open(cache).context("open the image cache")?;
    let (hearth, environment) = Hearth::deploy(server).await?;
    let isolation = hearth.isolation()?;
    let bare = Bare::new(cache, environment, isolation)?;
    let mut report = Report::new(isolation, options.warm, load);
    for number in 1..=options.count {
        let bare_first: bool = rand::random();
        let (of_bare, of_hearth);
        if bare_first {
            of_bare = bare.round(options.warm).await?;
            of_hearth = hearth.round(options.warm).await?;
        } else {
            of_hearth = hearth.round(options.warm).await?;
            of_bare = bare.round(options.warm).await?;
        }
        eprintln!(
            "round {number} of {}: cold start bare {:.0} ms, Hearth {:.0} ms",
            options.count, of_bare.cold, of_hearth.cold
        );
        report.add(of_bare, of_hearth);
    }
    let captured = bare.capture().await?;
    for _ in 0..options.restores {
        let (of_bare, of_hearth) = restores(&captured, &bare, &hearth, 1).await?;
        report.restores.one.add(of_bare, of_hearth);
    }
    // What a burst wants is there when there was one.
    hearth.restores(BURST).await?;
    for _ in 0..options.bursts {
        let (of_bare, of_hearth) = restores(&captured, &bare, &hearth, BURST).await?;
        report.restores.bursts.add(of_bare, of_hearth);
    }
    hearth.stop().await?;
    Ok(report)
}

/// So many at once, of each, in random order.
async fn restores(
    captured: &Captured,
    bare: &Bare,
    hearth: &Hearth,
    at_once: usize,
) -> Result<(f64, f64)> {
    hearth.vmms_wait(at_once).await?;
    let bare_first: bool = rand::random();
    if bare_first {
        let of_bare = captured.restore(bare, at_once).await?;
        return Ok((of_bare, hearth.restores(at_once).await?));
    }
    let of_hearth = hearth.restores(at_once).await?;
    // Those that take the place of what was used: not beside what is measured.
    hearth.vmms_wait(at_once).await?;
    Ok((captured.restore(bare, at_once).await?, of_hearth))
}

/// The processes that ran or waited to, on average, in the minute before: how
/// quiet the machine was.
fn load_average() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
    let first = text.split_whitespace().next().unwrap_or_default();
    first.parse().context("/proc/loadavg")
}

/// `HEARTH_IMAGE_CACHE`, else where `hearth` keeps images by default.
fn image_cache() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("HEARTH_IMAGE_CACHE") {
        return Ok(named.into());
    }
    let xdg = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || std::env::home_dir().map(|home| home.join(".cache"));
    Ok(xdg.or_else(home).context("there is no home directory")?.join("hearth"))
}
