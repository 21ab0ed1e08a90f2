//! `hearth gc`: gives back what code and snapshots no longer need.

use crate::operator::{Collection, OperatorClient};
use crate::output::{self, Output, size};
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `hearth gc`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The server does the same by itself, once an hour. Code and snapshots of versions that were
deleted lose their names, some minutes later (snapshots after a shorter grace), and so do layers
that nobody used for a week. What nothing names is deleted when it is older than the grace and
was not needed the last time either. What sandboxes are using stays as long as they live, and
what is just being stored stays, too, so a grace of 0 is safe, unless another program writes to
the same object store. In a cluster any node does it for all, if it is time: all have one grace, of
their configuration.")]
pub(crate) struct GcArgs {
    /// The data directory of the running server
    #[arg(long, value_name = "DIR", default_value_os_t = crate::cli::default_data_dir())]
    data_dir: PathBuf,
    /// How long ago something must have been written to go, in seconds; else what `hearth up
    /// --gc-grace` says. With 0, a second run deletes all that nothing needs
    #[arg(long, value_name = "SECONDS", value_parser = crate::up::seconds)]
    grace: Option<Duration>,
}

/// Collects, and prints what that did.
pub(crate) async fn run(args: GcArgs, output: Output) -> anyhow::Result<()> {
    let done = OperatorClient::connect(&args.data_dir).await?.collect(args.grace).await?;
    match output {
        Output::Json => output::json(&done),
        Output::Table => output::text(&words(&done)),
    }
}

fn words(done: &Collection) -> String {
    let Collection { files_deleted, chunks_deleted, chunks_kept, chunks_waiting, .. } = done;
    let mut text = format!(
        "deleted  {chunks_deleted} chunks, {}; {files_deleted} files\n\
         kept     {chunks_kept} chunks\n",
        size(done.bytes_deleted),
    );
    if *chunks_waiting > 0 {
        text += &format!(
            "waiting  {chunks_waiting} of them, {}: nothing needs them, but they were written \
             less than {} seconds ago, or were needed the last time\n",
            size(done.bytes_waiting),
            done.grace_s,
        );
    }
    for layer in &done.layers {
        text += &format!("unused   {layer}: its chunks follow\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_went_and_what_waits() {
        let done = Collection {
            layers: vec!["layers/os-1".into()],
            files_deleted: 3,
            chunks_deleted: 10,
            bytes_deleted: 5 << 20,
            chunks_kept: 200,
            chunks_waiting: 2,
            bytes_waiting: 1 << 20,
            grace_s: 3600,
        };
        assert_eq!(
            words(&done),
            "deleted  10 chunks, 5.0 MiB; 3 files\nkept     200 chunks\nwaiting  2 of them, 1.0 \
             MiB: nothing needs them, but they were written less than 3600 seconds ago, or were \
             needed the last time\nunused   layers/os-1: its chunks follow\n"
        );
        let nothing = words(&Collection { chunks_kept: 200, ..Collection::default() });
        assert_eq!(nothing, "deleted  0 chunks, 0 B; 0 files\nkept     200 chunks\n");
    }
}
