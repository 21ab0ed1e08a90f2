//! Published versions, and the snapshots that are built of them.

use crate::{Function, eventually};
use anyhow::{Context, Result, ensure};
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::State;
use std::time::Duration;

/// Longest that a build may take: a boot, two layers and an init, all emulated, on a
/// machine that does other things too.
const BUILD_MAX: Duration = Duration::from_secs(180);

impl Function {
    /// One of its versions, as a function to be called.
    pub fn at(&self, version: &str) -> Self {
        Self { account: self.account.clone(), name: format!("{}:{version}", self.name) }
    }

    /// What the API says of it.
    pub async fn configuration(&self) -> Result<GetFunctionConfigurationOutput> {
        let get = self.account.client.get_function_configuration().function_name(&self.name);
        get.send().await.with_context(|| format!("get {}", self.name))
    }

    /// Waits until it is no longer `Pending`.
    pub async fn settled(&self) -> Result<GetFunctionConfigurationOutput> {
        eventually(&format!("the end of {}'s build", self.name), BUILD_MAX, || async {
            let told = self.configuration().await?;
            Ok((told.state() != Some(&State::Pending)).then_some(told))
        })
        .await
    }

    /// Publishes what it is now and waits until that can be called.
    pub async fn publish_active(&self) -> Result<Self> {
        let version = self.at(&self.publish().await?);
        let told = version.settled().await?;
        ensure!(told.state() == Some(&State::Active), "{}: {told:?}", version.name);
        Ok(version)
    }
}
