//! `cargo xtask fuzz`: feeds random bytes to whatever reads those of guests and
//! of callers.

use crate::shell::{self, cargo, output, step};
use anyhow::{Context, bail};

/// The fuzz targets, in `fuzz/`.
const TARGETS: [&str; 3] = ["agent_codec", "agent_messages", "code_package"];
/// How long each runs unless told otherwise.
const SECONDS_DEFAULT: u32 = 60;

/// `fuzz [--seconds N]`: fuzzes each target for a while; a crash is a failure.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    run_for(seconds(args)?)
}

fn run_for(seconds: u32) -> anyhow::Result<()> {
    if output(cargo().args(["fuzz", "--version"])).is_err() {
        step("installing cargo-fuzz");
        shell::run(cargo().args(["install", "--locked", "cargo-fuzz"]))?;
    }
    for target in TARGETS {
        step(&format!("fuzzing {target} for {seconds} s"));
        let limit = format!("-max_total_time={seconds}");
        // Sanitizers need a nightly compiler; RUSTC_BOOTSTRAP lets the stable one
        // that builds everything else serve.
        shell::run(
            cargo().env("RUSTC_BOOTSTRAP", "1").args(["fuzz", "run", target, "--", &limit]),
        )?;
    }
    Ok(())
}

fn seconds(args: &[String]) -> anyhow::Result<u32> {
    match args {
        [] => Ok(SECONDS_DEFAULT),
        [flag, seconds] if flag == "--seconds" => {
            seconds.parse().with_context(|| format!("--seconds {seconds}"))
        }
        _ => bail!("usage: cargo xtask fuzz [--seconds N]"),
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn arguments() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(seconds(&[]).unwrap(), 60);
        assert_eq!(seconds(&words("--seconds 5")).unwrap(), 5);
        assert!(seconds(&words("--seconds soon")).is_err());
        assert!(seconds(&words("5")).is_err());
    }
}
