//! `hearth logs`: prints a function's log, and goes on as it grows.

use crate::client::{ApiArgs, Client};
use crate::output::{self, Output};
use hearth_services::logs::LogChunk;
use hearth_types::FunctionName;
use http::Method;
use std::time::Duration;

/// How often `--follow` asks for more.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

/// Arguments of `hearth logs`.
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// The function
    #[arg(value_name = "NAME")]
    name: FunctionName,
    /// Go on printing as the log grows, until interrupted
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    api: ApiArgs,
}

/// Prints what is kept of the log, oldest first. As JSON: one chunk a line.
pub(crate) async fn run(args: LogsArgs, output: Output) -> anyhow::Result<()> {
    let client = Client::new(&args.api)?;
    let mut from = 0;
    loop {
        let path = format!("/hearth/v1/functions/{}/logs?from={from}", args.name);
        let chunk: LogChunk = client.json(Method::GET, &path, None).await?;
        let at_end = chunk.next == from;
        if !chunk.text.is_empty() {
            match output {
                Output::Json => output::text(&(serde_json::to_string(&chunk)? + "\n"))?,
                Output::Table => output::text(&chunk.text)?,
            }
        }
        from = chunk.next;
        match (at_end, args.follow) {
            (false, _) => {}
            (true, true) => tokio::time::sleep(FOLLOW_INTERVAL).await,
            (true, false) => return Ok(()),
        }
    }
}
