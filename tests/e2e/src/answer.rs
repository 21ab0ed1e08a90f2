//! What an invocation came to.

use anyhow::{Context, Result, ensure};
use aws_sdk_lambda::operation::invoke::InvokeOutput;
use serde::Deserialize;
use serde_json::Value;

/// A finished invocation.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: i32,
    /// `X-Amz-Function-Error`.
    pub function_error: Option<String>,
    /// `X-Amz-Executed-Version`.
    pub version: Option<String>,
    /// `X-Amz-Log-Result`, still in base64.
    pub log_base64: Option<String>,
    /// The body.
    pub payload: Vec<u8>,
}

/// A function's error, as Lambda writes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// What kind.
    pub error_type: String,
    /// In words.
    pub error_message: String,
    /// Where, for a handler's exception.
    #[serde(default)]
    pub stack_trace: Vec<Value>,
}

impl Answer {
    /// The handler's response, as JSON; a function error is a failed test.
    pub fn json(&self) -> Result<Value> {
        let text = String::from_utf8_lossy(&self.payload);
        ensure!(self.function_error.is_none(), "the function failed: {text}");
        ensure!(self.status == 200, "status {}: {text}", self.status);
        serde_json::from_slice(&self.payload).with_context(|| format!("not JSON: {text}"))
    }

    /// The function's error; a success is a failed test.
    pub fn failure(&self) -> Result<Failure> {
        let body = &self.payload[..self.payload.len().min(1000)];
        let text = String::from_utf8_lossy(body);
        ensure!(self.function_error.is_some(), "the function did not fail: {text}");
        ensure!(self.function_error.as_deref() == Some("Unhandled"), "{:?}", self.function_error);
        ensure!(self.status == 200, "status {}", self.status);
        serde_json::from_slice(&self.payload).with_context(|| format!("not an error: {text}"))
    }
}

impl From<InvokeOutput> for Answer {
    fn from(output: InvokeOutput) -> Self {
        Self {
            status: output.status_code(),
            function_error: output.function_error().map(str::to_owned),
            version: output.executed_version().map(str::to_owned),
            log_base64: output.log_result().map(str::to_owned),
            payload: output.payload.map(|blob| blob.into_inner()).unwrap_or_default(),
        }
    }
}
