//! `hearth bench`.

use crate::output::Output;

/// Arguments of `hearth bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {}

/// Runs.
pub(crate) async fn run(_args: BenchArgs, _output: Output) -> anyhow::Result<()> {
    anyhow::bail!("not yet")
}
