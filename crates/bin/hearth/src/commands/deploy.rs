//! `hearth deploy`: creates a function, or brings it up to date.

use super::values;
use crate::client::{ApiArgs, Client, lambda::Configuration};
use crate::output::{self, Output};
use crate::package::Package;
use anyhow::Context;
use base64::Engine;
use hearth_types::{FunctionName, MemoryMb, Runtime, TimeoutS};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// AWS demands a role. Hearth keeps and returns it, and assumes none.
const ROLE: &str = "arn:aws:iam::000000000000:role/hearth";

/// Arguments of `hearth deploy`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A directory is packed so that the same files always make the same zip: deploying it again uploads
nothing. Left out: .git, __pycache__, .DS_Store. At most 250 MiB unzipped and 50 MiB zipped.

Updating an existing function changes only what is named here.")]
pub(crate) struct DeployArgs {
    /// The code: a directory, or a zip or jar file
    #[arg(value_name = "DIR|FILE.zip")]
    code: PathBuf,
    /// The function's name
    #[arg(long, short)]
    name: FunctionName,
    /// Needed to create: java21, nodejs22.x, python3.13 or provided.al2023
    #[arg(long, short, value_parser = values::runtime)]
    runtime: Option<Runtime>,
    /// Needed to create: what the runtime calls, e.g. app.handler
    #[arg(long, short = 'H')]
    handler: Option<String>,
    /// Memory in MB, 128 to 10240; CPU comes in proportion [created with: 128]
    #[arg(long, short, value_name = "MB", value_parser = values::memory)]
    memory: Option<MemoryMb>,
    /// Longest that one invocation may run, in seconds, 1 to 900 [created with: 3]
    #[arg(long, short, value_name = "SECONDS", value_parser = values::timeout)]
    timeout: Option<TimeoutS>,
    /// A variable for the function; repeat for more. All given replace all there were
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = values::variable)]
    env: Vec<(String, String)>,
    /// Free text
    #[arg(long)]
    description: Option<String>,
    /// Have published versions start from a snapshot of the initialised function, publish one, and
    /// wait until its snapshot is built
    #[arg(long)]
    snap_start: bool,
    #[command(flatten)]
    api: ApiArgs,
}

/// Creates or updates, waits until it is in effect, and prints the function.
pub(crate) async fn run(args: DeployArgs, output: Output) -> anyhow::Result<()> {
    let package = Package::load(&args.code)?;
    let client = Client::new(&args.api)?;
    let (done, mut function) = match client.find(&args.name).await? {
        None => ("created", create(&client, &args, &package).await?),
        Some(_) => update(&client, &args, &package).await?,
    };
    if args.snap_start {
        let published = client.publish_version(&args.name).await?;
        function = client.wait_until_ready(&args.name, Some(&published.version)).await?;
    }
    match output {
        Output::Json => output::json(&function),
        Output::Table => output::text(&format!(
            "{done} {} ({}, {} MB, {} s)\n{}\n",
            function.function_name,
            function.runtime,
            function.memory_size,
            function.timeout,
            function.function_arn,
        )),
    }
}

async fn create(
    client: &Client,
    args: &DeployArgs,
    package: &Package,
) -> anyhow::Result<Configuration> {
    let missing = |what| format!("function {} does not exist yet: {what} is needed", args.name);
    args.runtime.with_context(|| missing("--runtime"))?;
    args.handler.as_ref().with_context(|| missing("--handler"))?;
    let mut body = args.settings();
    body.insert("FunctionName".into(), json!(args.name));
    body.insert("Role".into(), ROLE.into());
    body.insert("Code".into(), json!({ "ZipFile": encoded(package) }));
    client.create_function(&Value::Object(body)).await?;
    client.wait_until_ready(&args.name, None).await
}

async fn update(
    client: &Client,
    args: &DeployArgs,
    package: &Package,
) -> anyhow::Result<(&'static str, Configuration)> {
    // Somebody else's change may still be under way.
    let current = client.wait_until_ready(&args.name, None).await?;
    let settings = args.settings();
    let settings_differ = differ(&settings, &serde_json::to_value(&current)?);
    let code_differs = current.code_sha256 != package.sha256_base64;
    if settings_differ {
        client.update_configuration(&args.name, &Value::Object(settings)).await?;
        client.wait_until_ready(&args.name, None).await?;
    }
    if code_differs {
        client.update_code(&args.name, &json!({ "ZipFile": encoded(package) })).await?;
    }
    let done = if settings_differ || code_differs { "updated" } else { "unchanged" };
    Ok((done, client.wait_until_ready(&args.name, None).await?))
}

impl DeployArgs {
    /// The settings that were named, as the API spells them.
    fn settings(&self) -> Map<String, Value> {
        let mut body = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        set("Runtime", self.runtime.map(|v| v.as_str().into()));
        set("Handler", self.handler.clone().map(Value::from));
        set("MemorySize", self.memory.map(|v| v.get().into()));
        set("Timeout", self.timeout.map(|v| v.get().into()));
        set("Description", self.description.clone().map(Value::from));
        let variables: BTreeMap<_, _> = self.env.iter().cloned().collect();
        let environment = (!variables.is_empty()).then(|| json!({ "Variables": variables }));
        set("Environment", environment);
        set("SnapStart", self.snap_start.then(|| json!({ "ApplyOn": "PublishedVersions" })));
        body
    }
}

/// Whether any wanted setting is not yet as wanted.
fn differ(wanted: &Map<String, Value>, current: &Value) -> bool {
    wanted.iter().any(|(name, value)| match (name.as_str(), current.get(name)) {
        // The server's answer says more of it than was set.
        ("SnapStart", Some(current)) => current["ApplyOn"] != value["ApplyOn"],
        (_, current) => current != Some(value),
    })
}

fn encoded(package: &Package) -> String {
    base64::prelude::BASE64_STANDARD.encode(&package.zip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_and_new_differs() {
        let current = json!({
            "Runtime": "python3.13", "MemorySize": 128,
            "Environment": { "Variables": { "A": "1" } }
        });
        let wanted = |value: Value| value.as_object().unwrap().clone();
        assert!(!differ(&wanted(json!({})), &current));
        assert!(!differ(&wanted(json!({ "MemorySize": 128 })), &current));
        assert!(differ(&wanted(json!({ "MemorySize": 256 })), &current));
        let same = json!({ "Environment": { "Variables": { "A": "1" } } });
        assert!(!differ(&wanted(same), &current));
        let on = || wanted(json!({ "SnapStart": { "ApplyOn": "PublishedVersions" } }));
        assert!(differ(&on(), &current));
        let off = json!({ "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" } });
        assert!(differ(&on(), &off));
        let is_on =
            json!({ "SnapStart": { "ApplyOn": "PublishedVersions", "OptimizationStatus": "Off" } });
        assert!(!differ(&on(), &is_on));
        let fewer = json!({ "Environment": { "Variables": {} } });
        assert!(differ(&wanted(fewer), &current));
    }
}
