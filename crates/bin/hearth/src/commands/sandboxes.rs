//! `hearth sandboxes`: lists an account's living microVMs.

use crate::client::{ApiArgs, Client};
use crate::output::{self, Output};
use hearth_services::assignment::SandboxInfo;
use http::Method;

/// Arguments of `hearth sandboxes`.
#[derive(Debug, clap::Args)]
pub(crate) struct SandboxesArgs {
    #[command(flatten)]
    api: ApiArgs,
}

/// Prints each sandbox's function, state and use.
pub(crate) async fn run(args: SandboxesArgs, output: Output) -> anyhow::Result<()> {
    let client = Client::new(&args.api)?;
    let sandboxes: Vec<SandboxInfo> =
        client.json(Method::GET, "/hearth/v1/sandboxes", None).await?;
    if output == Output::Json {
        return output::json(&sandboxes);
    }
    let header = ["sandbox", "function", "version", "memory", "state", "invocations", "last used"];
    let rows = sandboxes.into_iter().map(|s| {
        vec![
            s.id.to_string(),
            s.function.to_string(),
            s.version.to_string(),
            format!("{} MB", s.memory),
            s.state.as_str().to_owned(),
            s.invocations.to_string(),
            s.last_used.to_rfc3339(),
        ]
    });
    output::table(&header, rows, "no sandboxes: an invoke starts one")
}
