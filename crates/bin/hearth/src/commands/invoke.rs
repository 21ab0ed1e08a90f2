//! `hearth invoke`: runs a function once.

use crate::client::{ApiArgs, Client, FunctionError, Reply, lambda};
use crate::exit::FunctionFailed;
use crate::output::{self, Output};
use crate::payload::Payload;
use crate::timing::Timing;
use anyhow::Context;
use base64::Engine;
use hearth_types::FunctionName;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use tokio::time::Instant;

/// Arguments of `hearth invoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct InvokeArgs {
    /// The function
    #[arg(value_name = "NAME")]
    name: FunctionName,
    /// The event: JSON text, @FILE, or - for standard input
    #[arg(long, short, value_name = "JSON", default_value = "{}")]
    payload: Payload,
    /// Which version: a number or $LATEST
    #[arg(long, short, value_name = "VERSION")]
    qualifier: Option<String>,
    /// Print the end of the invocation's log, on stderr
    #[arg(long, short)]
    log: bool,
    /// Print where the time went, on stderr
    #[arg(long)]
    timing: bool,
    #[command(flatten)]
    api: ApiArgs,
}

/// Prints the function's answer; a function's own error is printed too, and
/// the command then fails.
pub(crate) async fn run(args: InvokeArgs, output: Output) -> anyhow::Result<()> {
    let payload = args.payload.read()?;
    let client = Client::new(&args.api)?;
    let mut headers = HeaderMap::new();
    if args.log || output == Output::Json {
        headers.insert("x-amz-log-type", HeaderValue::from_static("Tail"));
    }
    let path = lambda::invoke_path(&args.name, args.qualifier.as_deref());
    let sent = Instant::now();
    let reply = client.send(Method::POST, &path, &headers, payload).await?;
    let total = sent.elapsed();
    let timing = Timing::of(&reply, total);
    let log = log_tail(&reply)?;
    match output {
        Output::Json => output::json(&document(&reply, timing, log.as_deref()))?,
        Output::Table => {
            output::bytes(&reply.body)?;
            if !reply.body.ends_with(b"\n") {
                output::text("\n")?;
            }
            if let Some(log) = &log {
                eprint!("{log}");
            }
            match (&timing, args.timing) {
                (Some(timing), true) => eprint!("{}", timing.render()),
                (None, true) => eprintln!("the server did not say where the time went"),
                (_, false) => {}
            }
        }
    }
    match FunctionError::of(&reply) {
        Some(error) => Err(FunctionFailed { kind: error.whole() }.into()),
        None => Ok(()),
    }
}

fn log_tail(reply: &Reply) -> anyhow::Result<Option<String>> {
    let Some(encoded) = reply.header("x-amz-log-result") else { return Ok(None) };
    let log = base64::prelude::BASE64_STANDARD
        .decode(encoded)
        .context("the server's log tail is not base64")?;
    Ok(Some(String::from_utf8_lossy(&log).into_owned()))
}

fn document(reply: &Reply, timing: Option<Timing>, log: Option<&str>) -> Value {
    let payload = serde_json::from_slice(&reply.body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&reply.body).into_owned()));
    serde_json::json!({
        "statusCode": reply.status.as_u16(),
        "requestId": reply.header("x-amzn-requestid"),
        "executedVersion": reply.header("x-amz-executed-version"),
        "functionError": reply.header("x-amz-function-error"),
        "start": timing.map(|t| t.kind.as_str()),
        "timingMs": timing.map(Timing::to_json),
        "log": log,
        "payload": payload,
    })
}
