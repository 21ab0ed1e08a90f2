//! `cargo xtask bench`: Hearth next to a bare guest, in one run.

use crate::shell::{self, cargo, step};
use crate::{apt, artifacts};

/// `bench [--count N] [--warm N] [--output table|json]`: the benchmark itself
/// reads these.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    apt::ensure(apt::Purpose::Run)?;
    let hearth = artifacts::build()?.hearth;
    step("measuring");
    let bench = ["bench", "--locked", "-p", "hearth-e2e", "--bench", "bare_guest", "--"];
    shell::run(cargo().args(bench).args(args).env("HEARTH_BIN", &hearth))
}
