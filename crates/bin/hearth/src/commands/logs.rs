//! `hearth logs`: prints a function's log, and goes on as it grows.

use crate::client::{ApiArgs, Client};
use crate::output::{self, Output};
use hearth_services::logs::LogPage;
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

/// Prints what is kept of the log, oldest first. As JSON: one page a line.
pub(crate) async fn run(args: LogsArgs, output: Output) -> anyhow::Result<()> {
    let client = Client::new(&args.api)?;
    let (mut from, mut missing) = (String::new(), vec![]);
    loop {
        let path = format!("/hearth/v1/functions/{}/logs?from={from}", args.name);
        let page: LogPage = client.json(Method::GET, &path, None).await?;
        let at_end = page.next == from;
        if !page.text.is_empty() {
            match output {
                Output::Json => output::text(&(serde_json::to_string(&page)? + "\n"))?,
                Output::Table => output::text(&page.text)?,
            }
        }
        if page.unreachable != missing && !page.unreachable.is_empty() {
            let workers = page.unreachable.join(", ");
            eprintln!("hearth: without the lines of workers that do not answer: {workers}");
        }
        (from, missing) = (page.next, page.unreachable);
        match (at_end, args.follow) {
            (false, _) => {}
            (true, true) => tokio::time::sleep(FOLLOW_INTERVAL).await,
            (true, false) => return Ok(()),
        }
    }
}
