//! Making and calling functions.

use crate::code::zip_of;
use crate::{Account, Answer};
use anyhow::{Context, Result, anyhow};
use aws_sdk_lambda::client::Waiters;
use aws_sdk_lambda::error::DisplayErrorContext;
use aws_sdk_lambda::operation::create_function::builders::CreateFunctionFluentBuilder;
use aws_sdk_lambda::operation::invoke::builders::InvokeFluentBuilder;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, FunctionCode, Runtime, SnapStart, SnapStartApplyOn};
use serde_json::Value;
use std::time::Duration;

/// A role's ARN; kept and returned, not assumed.
const ROLE: &str = "arn:aws:iam::000000000000:role/test";
/// Memory of a function whose memory does not matter: with it comes CPU, and
/// emulated guests are slow enough.
const MEMORY_MB: i32 = 1024;
/// Timeout of a function whose timeout does not matter.
const TIMEOUT_S: i32 = 30;
/// Longest that a function may take to become active or updated.
const SETTLE: Duration = Duration::from_secs(30);

/// A function to be made.
#[derive(Clone)]
pub struct Draft {
    name: String,
    runtime: Runtime,
    handler: String,
    zip: Vec<u8>,
    memory_mb: i32,
    timeout_s: i32,
    environment: Vec<(String, String)>,
    snap_start: bool,
}

impl Draft {
    /// A function of any runtime.
    pub fn new(name: &str, runtime: &str, handler: &str, zip: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            runtime: Runtime::from(runtime),
            handler: handler.to_owned(),
            zip,
            memory_mb: MEMORY_MB,
            timeout_s: TIMEOUT_S,
            environment: Vec::new(),
            snap_start: false,
        }
    }

    /// A Python function: `source` defines `handler(event, context)`.
    pub fn python(name: &str, source: &str) -> Self {
        Self::new(name, "python3.13", "app.handler", zip_of(&[("app.py", source.as_bytes())]))
    }

    /// Sets its memory.
    pub fn memory_mb(mut self, memory_mb: i32) -> Self {
        self.memory_mb = memory_mb;
        self
    }

    /// Sets its timeout.
    pub fn timeout_s(mut self, timeout_s: i32) -> Self {
        self.timeout_s = timeout_s;
        self
    }

    /// Adds a variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has a snapshot taken of every version that is published of it.
    pub fn snap_start(mut self) -> Self {
        self.snap_start = true;
        self
    }

    /// The call that makes it, not sent yet.
    pub fn request(&self, account: &Account) -> CreateFunctionFluentBuilder {
        let variables = self.environment.iter().cloned().collect();
        let apply_on = match self.snap_start {
            true => SnapStartApplyOn::PublishedVersions,
            false => SnapStartApplyOn::None,
        };
        account
            .client
            .create_function()
            .function_name(&self.name)
            .runtime(self.runtime.clone())
            .role(ROLE)
            .handler(&self.handler)
            .memory_size(self.memory_mb)
            .timeout(self.timeout_s)
            .environment(Environment::builder().set_variables(Some(variables)).build())
            .snap_start(SnapStart::builder().apply_on(apply_on).build())
            .code(FunctionCode::builder().zip_file(Blob::new(self.zip.clone())).build())
    }

    /// Makes it and waits until it is active.
    pub async fn create(self, account: &Account) -> Result<Function> {
        self.request(account)
            .send()
            .await
            .map_err(|e| anyhow!("create {}: {}", self.name, DisplayErrorContext(e)))?;
        let function = Function { account: account.clone(), name: self.name.clone() };
        function.wait_active().await?;
        Ok(function)
    }
}

/// A function that exists.
#[derive(Clone)]
pub struct Function {
    /// Its owner.
    pub account: Account,
    /// Its name.
    pub name: String,
}

impl Function {
    /// An invocation, not sent yet.
    pub fn request(&self, event: &Value) -> InvokeFluentBuilder {
        let payload = Blob::new(event.to_string());
        self.account.client.invoke().function_name(&self.name).payload(payload)
    }

    /// Invokes it; an error of the API is a failed test, one of the function is not.
    pub async fn invoke(&self, event: &Value) -> Result<Answer> {
        self.send(self.request(event)).await
    }

    /// Sends a prepared invocation.
    pub async fn send(&self, request: InvokeFluentBuilder) -> Result<Answer> {
        let output = request
            .send()
            .await
            .map_err(|e| anyhow!("invoke {}: {}", self.name, DisplayErrorContext(e)))?;
        Ok(output.into())
    }

    /// Invokes it and returns its response.
    pub async fn call(&self, event: &Value) -> Result<Value> {
        self.invoke(event).await?.json().with_context(|| format!("call {}", self.name))
    }

    /// Replaces its code by one Python file and waits until that serves.
    pub async fn update_python(&self, source: &str) -> Result<()> {
        let zip = zip_of(&[("app.py", source.as_bytes())]);
        let request = self.account.client.update_function_code().function_name(&self.name);
        request
            .zip_file(Blob::new(zip))
            .send()
            .await
            .map_err(|e| anyhow!("update {}: {}", self.name, DisplayErrorContext(e)))?;
        self.wait_updated().await
    }

    /// Publishes what it is now and returns the version's number.
    pub async fn publish(&self) -> Result<String> {
        let published =
            self.account.client.publish_version().function_name(&self.name).send().await?;
        published.version().map(str::to_owned).context("a published version has a number")
    }

    /// Waits, as the SDK does, until it is active.
    pub async fn wait_active(&self) -> Result<()> {
        let waiter = self.account.client.wait_until_function_active_v2();
        waiter
            .function_name(&self.name)
            .wait(SETTLE)
            .await
            .map_err(|e| anyhow!("{} is not active: {}", self.name, DisplayErrorContext(e)))?;
        Ok(())
    }

    /// Waits, as the SDK does, until its last update is in effect.
    pub async fn wait_updated(&self) -> Result<()> {
        let waiter = self.account.client.wait_until_function_updated_v2();
        waiter
            .function_name(&self.name)
            .wait(SETTLE)
            .await
            .map_err(|e| anyhow!("{} is not updated: {}", self.name, DisplayErrorContext(e)))?;
        Ok(())
    }
}
