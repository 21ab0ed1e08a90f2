//! `hearth doctor`.

use crate::output::Output;

/// Arguments of `hearth doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {}

/// Runs.
pub(crate) async fn run(_args: DoctorArgs, _output: Output) -> anyhow::Result<()> {
    anyhow::bail!("not yet")
}
