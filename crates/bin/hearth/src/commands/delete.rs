//! `hearth delete`: removes a function.

use crate::client::{ApiArgs, Client};
use crate::output::{self, Output};
use hearth_types::FunctionName;

/// Arguments of `hearth delete`.
#[derive(Debug, clap::Args)]
pub(crate) struct DeleteArgs {
    /// The function
    #[arg(value_name = "NAME")]
    name: FunctionName,
    #[command(flatten)]
    api: ApiArgs,
}

/// Deletes the function with all its versions.
pub(crate) async fn run(args: DeleteArgs, output: Output) -> anyhow::Result<()> {
    Client::new(&args.api)?.delete_function(&args.name).await?;
    match output {
        Output::Json => output::json(&serde_json::json!({ "deleted": args.name })),
        Output::Table => output::text(&format!("deleted {}\n", args.name)),
    }
}
