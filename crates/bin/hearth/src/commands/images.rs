//! `hearth images`: the guest images.

use crate::output::Output;
use std::path::PathBuf;

/// Arguments of `hearth images`.
#[derive(Debug, clap::Args)]
pub(crate) struct ImagesArgs {
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Build whatever image is missing or out of date
    Build {
        /// Where images are kept
        #[arg(long, value_name = "DIR", default_value_os_t = crate::cli::default_image_cache())]
        image_cache: PathBuf,
        /// The guest agent to put in them [default: hearth-agent, next to this program]
        #[arg(long, value_name = "FILE")]
        agent: Option<PathBuf>,
    },
}

/// Runs one action.
pub(crate) async fn run(args: ImagesArgs, _output: Output) -> anyhow::Result<()> {
    let Action::Build { image_cache, agent } = args.action;
    anyhow::bail!("cannot build images in {} yet ({agent:?})", image_cache.display())
}
