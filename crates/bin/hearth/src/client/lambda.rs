//! The operations of the Lambda API that commands use, and their shapes as far
//! as commands read them.

use super::{ApiError, Client, encode};
use anyhow::Context;
use hearth_types::FunctionName;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const FUNCTIONS: &str = "/2015-03-31/functions";
/// Functions per page of a listing.
const PAGE_ITEMS: usize = 50;
/// Most pages that a listing follows.
const PAGES_MAX: usize = 10_000;
/// How often a waiter asks, and how long it waits in all: a snapshot is built after those
/// that were asked for before it, each an init of up to 130 s.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(900);

/// `FunctionConfiguration`, as far as it is read here; the rest is kept for
/// `--output json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Configuration {
    pub(crate) function_name: String,
    pub(crate) function_arn: String,
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) runtime: String,
    #[serde(default)]
    pub(crate) handler: String,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) memory_size: u32,
    pub(crate) timeout: u32,
    #[serde(default)]
    pub(crate) code_size: u64,
    #[serde(default)]
    pub(crate) code_sha256: String,
    #[serde(default)]
    pub(crate) last_modified: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_update_status: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_update_status_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<Environment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) snap_start: Option<SnapStart>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// `Environment`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Environment {
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
}

/// `SnapStart`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SnapStart {
    #[serde(default)]
    pub(crate) apply_on: String,
    #[serde(default)]
    pub(crate) optimization_status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FunctionPage {
    functions: Vec<Configuration>,
    #[serde(default)]
    next_marker: Option<String>,
}

/// What a waiter saw.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Ready,
    Waiting,
    Failed(String),
}

impl Configuration {
    fn progress(&self) -> Progress {
        let reason = |text: &Option<String>| text.clone().unwrap_or_else(|| "no reason".into());
        match (self.state.as_deref(), self.last_update_status.as_deref()) {
            (Some("Failed"), _) => Progress::Failed(reason(&self.state_reason)),
            (_, Some("Failed")) => Progress::Failed(reason(&self.last_update_status_reason)),
            (Some("Pending"), _) | (_, Some("InProgress")) => Progress::Waiting,
            _ => Progress::Ready,
        }
    }
}

impl Client {
    /// `GetFunctionConfiguration`.
    pub(crate) async fn configuration(
        &self,
        name: &FunctionName,
        qualifier: Option<&str>,
    ) -> anyhow::Result<Configuration> {
        let path = qualified(format!("{FUNCTIONS}/{name}/configuration"), qualifier);
        self.json(Method::GET, &path, None).await
    }

    /// The configuration of `$LATEST`; `None` if there is no such function.
    pub(crate) async fn find(&self, name: &FunctionName) -> anyhow::Result<Option<Configuration>> {
        found(self.configuration(name, None).await)
    }

    /// `ListFunctions`, all pages.
    pub(crate) async fn functions(&self) -> anyhow::Result<Vec<Configuration>> {
        let mut all = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut path = format!("{FUNCTIONS}/?MaxItems={PAGE_ITEMS}");
            if let Some(marker) = &marker {
                path += &format!("&Marker={}", encode(marker));
            }
            let page: FunctionPage = self.json(Method::GET, &path, None).await?;
            all.extend(page.functions);
            marker = page.next_marker.filter(|m| !m.is_empty());
            if marker.is_none() {
                return Ok(all);
            }
        }
        anyhow::bail!("the listing has more than {PAGES_MAX} pages")
    }

    /// `CreateFunction`.
    pub(crate) async fn create_function(&self, body: &Value) -> anyhow::Result<Configuration> {
        self.json(Method::POST, FUNCTIONS, Some(body)).await
    }

    /// `UpdateFunctionConfiguration`.
    pub(crate) async fn update_configuration(
        &self,
        name: &FunctionName,
        body: &Value,
    ) -> anyhow::Result<Configuration> {
        let path = format!("{FUNCTIONS}/{name}/configuration");
        self.json(Method::PUT, &path, Some(body)).await
    }

    /// `UpdateFunctionCode`.
    pub(crate) async fn update_code(
        &self,
        name: &FunctionName,
        body: &Value,
    ) -> anyhow::Result<Configuration> {
        self.json(Method::PUT, &format!("{FUNCTIONS}/{name}/code"), Some(body)).await
    }

    /// `PublishVersion`.
    pub(crate) async fn publish_version(
        &self,
        name: &FunctionName,
    ) -> anyhow::Result<Configuration> {
        let path = format!("{FUNCTIONS}/{name}/versions");
        self.json(Method::POST, &path, Some(&serde_json::json!({}))).await
    }

    /// `DeleteFunction`: the function with all its versions.
    pub(crate) async fn delete_function(&self, name: &FunctionName) -> anyhow::Result<()> {
        let path = format!("{FUNCTIONS}/{name}");
        self.send(Method::DELETE, &path, &Default::default(), Default::default()).await?;
        Ok(())
    }

    /// Waits until the newest change of `$LATEST`, or the publishing of `version`, is in
    /// effect; an error says why it is not.
    pub(crate) async fn wait_until_ready(
        &self,
        name: &FunctionName,
        version: Option<&str>,
    ) -> anyhow::Result<Configuration> {
        let what = match version {
            None => format!("function {name}"),
            Some(version) => format!("version {version} of function {name}"),
        };
        let deadline = tokio::time::Instant::now() + WAIT_MAX;
        loop {
            let now = found(self.configuration(name, version).await)?
                .with_context(|| format!("{what} was deleted meanwhile"))?;
            match now.progress() {
                Progress::Ready => return Ok(now),
                Progress::Failed(reason) => anyhow::bail!("{what} could not be made: {reason}"),
                Progress::Waiting if tokio::time::Instant::now() >= deadline => {
                    anyhow::bail!("{what} is not ready after {} s", WAIT_MAX.as_secs())
                }
                Progress::Waiting => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }
}

/// `None` for what is not there.
fn found(read: anyhow::Result<Configuration>) -> anyhow::Result<Option<Configuration>> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.downcast_ref().is_some_and(ApiError::is_not_found) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The path of `Invoke`.
pub(crate) fn invoke_path(name: &FunctionName, qualifier: Option<&str>) -> String {
    qualified(format!("{FUNCTIONS}/{name}/invocations"), qualifier)
}

fn qualified(path: String, qualifier: Option<&str>) -> String {
    match qualifier {
        Some(qualifier) => format!("{path}?Qualifier={}", encode(qualifier)),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn configuration(extra: Value) -> Configuration {
        let mut value = json!({
            "FunctionName": "f", "FunctionArn": "arn", "MemorySize": 128, "Timeout": 3,
            "Layers": []
        });
        value.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn waits_as_aws_waiters_do() {
        let progress = |extra| configuration(extra).progress();
        assert_eq!(progress(json!({"State": "Pending"})), Progress::Waiting);
        let updating = json!({"State": "Active", "LastUpdateStatus": "InProgress"});
        assert_eq!(progress(updating), Progress::Waiting);
        let done = json!({"State": "Active", "LastUpdateStatus": "Successful"});
        assert_eq!(progress(done), Progress::Ready);
        let failed = json!({"State": "Failed", "StateReason": "no room"});
        assert_eq!(progress(failed), Progress::Failed("no room".into()));
    }

    #[test]
    fn unread_fields_are_kept() {
        let value = serde_json::to_value(configuration(json!({"Version": "$LATEST"}))).unwrap();
        assert_eq!(value["Version"], "$LATEST");
        assert!(value["Layers"].is_array());
    }

    #[test]
    fn qualifiers_are_encoded() {
        let name = "f".parse().unwrap();
        assert_eq!(
            invoke_path(&name, Some("$LATEST")),
            "/2015-03-31/functions/f/invocations?Qualifier=%24LATEST"
        );
    }
}
