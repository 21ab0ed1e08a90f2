//! The `hearth` program, as an account's user runs it.

use crate::{Account, binary};
use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use std::process::Stdio;
use tokio::process::Command;

impl Account {
    /// A function's log, all that is kept.
    pub async fn logs(&self, function: &str) -> Result<String> {
        let mut command = hearth_as(self)?;
        Ok(String::from_utf8_lossy(&output_of(command.args(["logs", function])).await?).into())
    }
}

pub(crate) fn hearth_as(account: &Account) -> Result<Command> {
    let mut command = Command::new(binary::hearth()?);
    command
        .env("AWS_ENDPOINT_URL", &account.endpoint)
        .env("AWS_ACCESS_KEY_ID", account.credentials.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", account.credentials.secret_access_key())
        .env("AWS_REGION", "local");
    Ok(command)
}

pub(crate) async fn json_of<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let bytes = output_of(command).await?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("not as expected: {}", String::from_utf8_lossy(&bytes)))
}

async fn output_of(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output().await?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?}: {}: {stderr}", command.as_std(), output.status);
    Ok(output.stdout)
}
