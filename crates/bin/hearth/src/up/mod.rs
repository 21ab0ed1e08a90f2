//! `hearth up`: every role in one process.

mod args;

#[allow(unused_imports)] // until the server reads it
pub(crate) use args::{Isolation, UpArgs};

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn run(args: UpArgs) -> anyhow::Result<()> {
    anyhow::bail!("this build does not hold the server yet (asked to listen on {})", args.listen)
}
