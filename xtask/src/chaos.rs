//! `cargo xtask chaos`: a cluster that is hurt at random, for a while.

use crate::shell::{self, cargo, step};
use crate::{apt, artifacts, path, root};
use anyhow::{Context, bail};
use std::ffi::OsString;
use std::process::Command;

/// How long, and as short as with the other tests.
const SECONDS: u64 = 600;
const SHORT_SECONDS: u64 = 60;

/// `chaos [--short] [--seed N]`.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let (mut seconds, mut seed) = (SECONDS, None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--short" => seconds = SHORT_SECONDS,
            "--seed" => {
                let number = args.next().context("--seed needs a number")?;
                seed = Some(number.parse::<u64>().context("--seed needs a number")?);
            }
            _ => bail!("usage: cargo xtask chaos [--short] [--seed N]"),
        }
    }
    root::ensure()?;
    apt::ensure(apt::Purpose::Test)?;
    shell::run(&mut Command::new(path::root().join("tests/objects/install")))?;
    let hearth = artifacts::build()?.hearth;
    step("chaos");
    let is_short = seconds == SHORT_SECONDS;
    let seconds = OsString::from(seconds.to_string());
    let seed = seed.map(|seed| OsString::from(seed.to_string()));
    let mut variables =
        vec![("HEARTH_BIN", hearth.as_os_str()), ("HEARTH_CHAOS_SECONDS", seconds.as_os_str())];
    variables.extend(seed.as_deref().map(|seed| ("HEARTH_CHAOS_SEED", seed)));
    let mut chaos = cargo();
    root::run_by(&mut chaos, &variables)?;
    chaos.args(["test", "--locked", "-p", "hearth-e2e", "--test", "chaos"]);
    if !is_short {
        // They too take minutes that no other run has.
        chaos.args(["--test", "capacity", "--test", "zones"]);
    }
    shell::run(chaos.args(["--", "--include-ignored"]))
}
