//! `cargo xtask test`: everything, the quick first.
//!
//! ```text
//! layers ─► unit tests ─► release build and images ─► guests ─► tests/e2e ─► tests/clients
//! ```
//!
//! The end-to-end suites drive the release binary, because that is what people
//! run; they find it in `HEARTH_BIN`.

use crate::shell::{self, cargo, step};
use crate::{apt, artifacts, layers, path};
use std::process::Command;

/// The crate of end-to-end tests in Rust.
const E2E: &str = "hearth-e2e";
/// The crates whose tests boot guests or build images.
const GUESTS: [&str; 2] = ["hearth-images", "hearth-vmm"];

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
    let mut unit = cargo();
    unit.args(["test", "--workspace", "--locked", "--exclude", E2E]);
    for package in GUESTS {
        unit.args(["--exclude", package]);
    }
    shell::run(unit.args(filter))?;
    let hearth = artifacts::build()?.hearth;
    step("tests with guests");
    let mut guests = cargo();
    guests.args(["test", "--locked"]);
    for package in GUESTS {
        guests.args(["--package", package]);
    }
    shell::run(guests.args(filter))?;
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
