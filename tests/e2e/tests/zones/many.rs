//! Calls of a new function, many at once, so that new sandboxes are needed.

use anyhow::{Context, Result};
use hearth_e2e::{Account, Draft, Function};
use serde_json::json;
use std::collections::BTreeSet;
use tokio::task::JoinSet;

/// How often a call is tried, each time as often as SDKs do.
const TRIES: usize = 3;
/// Takes a while, so that no sandbox serves them all.
const SOURCE: &str = "import time\n\
    def handler(event, context): time.sleep(1); return context.log_stream_name\n";

/// Makes it, calls it, and deletes it; says which sandboxes served.
pub(crate) async fn many(front: &Account, name: &str, calls: usize) -> Result<BTreeSet<String>> {
    let function = Draft::python(name, SOURCE).create(front).await?;
    let function = Function { account: front.as_usual(), ..function };
    let mut calling = JoinSet::new();
    for _ in 0..calls {
        calling.spawn(call(function.clone()));
    }
    let mut used = BTreeSet::new();
    while let Some(said) = calling.join_next().await {
        used.insert(said??);
    }
    function.account.client.delete_function().function_name(name).send().await?;
    Ok(used)
}

async fn call(function: Function) -> Result<String> {
    let mut tries = 1;
    loop {
        match function.call(&json!({})).await {
            Ok(said) => return said.as_str().map(str::to_owned).context("a text"),
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}
