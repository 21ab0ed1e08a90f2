//! `cargo xtask test`: everything, the quick first.
//!
//! ```text
//! layers ─► unit tests ─► release build and images ─► tests/e2e ─► tests/clients
//! ```
//!
//! The end-to-end suites drive the release binary, because that is what people
//! run; they find it in `HEARTH_BIN`.

use crate::shell::{self, cargo, step};
use crate::{apt, artifacts, layers, path};
use std::process::Command;

/// The crate of end-to-end tests in Rust.
const E2E: &str = "hearth-e2e";

/// Runs all tests, or in Rust those whose name contains the one given.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let filter = match args {
        [] => None,
        [name] if !name.starts_with('-') => Some(name),
        _ => anyhow::bail!("usage: cargo xtask test [NAME]"),
    };
    apt::ensure(apt::Purpose::Test)?;
    step("checking layers");
    layers::run()?;
    step("unit tests");
    let all_but_e2e = ["test", "--workspace", "--locked", "--exclude", E2E];
    shell::run(cargo().args(all_but_e2e).args(filter))?;
    let hearth = artifacts::build()?.hearth;
    step("end to end, in Rust");
    shell::run(
        cargo().args(["test", "--locked", "-p", E2E]).args(filter).env("HEARTH_BIN", &hearth),
    )?;
    if filter.is_none() {
        step("end to end: boto3, AWS CLI, raw HTTP");
        shell::run(
            Command::new(path::root().join("tests/clients/run")).env("HEARTH_BIN", &hearth),
        )?;
    }
    Ok(())
}
