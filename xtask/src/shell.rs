//! Runs other programs, saying what is being done.

use anyhow::{Context, bail};
use std::process::Command;

/// Announces a step.
pub(crate) fn step(text: &str) {
    eprintln!("\x1b[1;33m▸\x1b[0m {text}");
}

/// Runs a program with our terminal; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("running {name}"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

/// Runs a program and returns what it wrote to stdout.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command.output().with_context(|| format!("running {name}"))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        bail!("{name} failed ({}): {}", out.status, said.trim());
    }
    String::from_utf8(out.stdout).with_context(|| format!("what {name} wrote is not text"))
}

/// The cargo that runs us, in the repository's root.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(crate::path::root());
    cargo
}
