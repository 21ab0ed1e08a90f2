//! `cargo xtask bench`: Hearth next to a bare guest, in one run.

use crate::shell::{self, cargo, step};
use crate::{apt, artifacts, root};

/// `bench [--count N] [--warm N] [--restores N] [--bursts N] [--output table|json]`: the
/// benchmark itself reads these.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    root::ensure()?;
    apt::ensure(apt::Purpose::Run)?;
    let hearth = artifacts::build()?.hearth;
    step("measuring");
    let bench = ["bench", "--locked", "-p", "hearth-e2e", "--bench", "bare_guest", "--"];
    let mut cargo = cargo();
    root::run_by(&mut cargo, &[("HEARTH_BIN", hearth.as_os_str())])?;
    shell::run(cargo.args(bench).args(args))
}
