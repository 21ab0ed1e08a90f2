//! `Invoke`: its headers and its payload.

use crate::{ApiError, ErrorCode, validate::Violations};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hearth_types::{CLIENT_CONTEXT_BYTES_MAX, INVOKE_PAYLOAD_BYTES_MAX, StartKind};
use http::HeaderMap;
use serde::de::IgnoredAny;

/// The header of [`InvokeRequest::quickest`].
pub const START_HEADER: &str = "x-hearth-start";
/// What a function without a payload receives.
const EMPTY_PAYLOAD: &[u8] = b"{}";
/// Longest trace header that is passed on.
const TRACE_ID_LEN_MAX: usize = 256;

/// How the caller wants it run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvocationType {
    /// Run it and answer with its response.
    RequestResponse,
    /// Run it later; answer at once.
    Event,
    /// Check that it could be run.
    DryRun,
}

/// A validated `Invoke`, apart from the function's name.
#[derive(Clone, Debug)]
pub struct InvokeRequest {
    /// How to run it.
    pub kind: InvocationType,
    /// Whether the caller wants the log's tail.
    pub log_tail: bool,
    /// The client context, decoded: JSON text.
    pub client_context: Option<String>,
    /// The caller's trace header.
    pub trace_id: Option<String>,
    /// The quickest kind of start that will do. Not of AWS's API: whoever measures
    /// starts asks for a new sandbox, which serves this event alone.
    pub quickest: StartKind,
    /// The event: valid JSON.
    pub payload: Bytes,
}

/// The payload is over its bound. `length` is the declared one, if it was declared.
pub fn payload_too_large(length: Option<u64>) -> ApiError {
    let length = length.unwrap_or(INVOKE_PAYLOAD_BYTES_MAX as u64 + 1);
    ApiError::new(
        ErrorCode::RequestTooLarge,
        format!(
            "{length} byte payload is too large for the RequestResponse invocation type (limit \
             {INVOKE_PAYLOAD_BYTES_MAX} bytes)"
        ),
    )
}

/// Validates headers and payload.
pub fn invoke(headers: &HeaderMap, payload: Bytes) -> Result<InvokeRequest, ApiError> {
    let text = |name| match headers.get(name) {
        None => Ok(None),
        Some(value) => value.to_str().map(Some).map_err(|_| {
            ApiError::new(ErrorCode::Validation, format!("the header {name} is not plain text"))
        }),
    };
    let mut violations = Violations::default();
    let kind = match text("x-amz-invocation-type")? {
        None | Some("RequestResponse") => InvocationType::RequestResponse,
        Some("Event") => InvocationType::Event,
        Some("DryRun") => InvocationType::DryRun,
        Some(other) => {
            violations.one_of(other, "invocationType", &["Event", "RequestResponse", "DryRun"]);
            InvocationType::RequestResponse
        }
    };
    let quickest = text(START_HEADER)?.unwrap_or(StartKind::Warm.as_str());
    let kinds = StartKind::ALL.map(StartKind::as_str);
    violations.one_of(quickest, "start", &kinds);
    let quickest = StartKind::ALL.into_iter().find(|kind| kind.as_str() == quickest);
    let log_type = text("x-amz-log-type")?.unwrap_or("None");
    violations.one_of(log_type, "logType", &["None", "Tail"]);
    violations.finish()?;
    for (header, what) in
        [("x-amz-durable-execution-name", "DurableExecutionName"), ("x-amz-tenant-id", "TenantId")]
    {
        if headers.contains_key(header) {
            return Err(ApiError::unsupported_value(what));
        }
    }
    let trace_id = headers.get("x-amzn-trace-id").and_then(|v| v.to_str().ok());
    Ok(InvokeRequest {
        kind,
        log_tail: log_type == "Tail",
        client_context: text("x-amz-client-context")?.map(client_context).transpose()?,
        trace_id: trace_id.filter(|t| t.len() <= TRACE_ID_LEN_MAX).map(str::to_owned),
        quickest: quickest.unwrap_or(StartKind::Warm),
        payload: check_payload(payload)?,
    })
}

fn client_context(base64: &str) -> Result<String, ApiError> {
    let bad = || {
        ApiError::new(
            ErrorCode::InvalidRequestContent,
            "Client context must be a valid Base64-encoded JSON object.",
        )
    };
    if base64.len() > CLIENT_CONTEXT_BYTES_MAX {
        return Err(ApiError::new(
            ErrorCode::InvalidRequestContent,
            format!("Client context must be no longer than {CLIENT_CONTEXT_BYTES_MAX} bytes."),
        ));
    }
    let json = STANDARD.decode(base64).map_err(|_| bad())?;
    let json = String::from_utf8(json).map_err(|_| bad())?;
    let object: serde_json::Value = serde_json::from_str(&json).map_err(|_| bad())?;
    if object.is_object() { Ok(json) } else { Err(bad()) }
}

/// The payload must be one JSON value; it is passed on byte for byte.
fn check_payload(payload: Bytes) -> Result<Bytes, ApiError> {
    if payload.is_empty() {
        return Ok(Bytes::from_static(EMPTY_PAYLOAD));
    }
    let bad = |why: &dyn std::fmt::Display| {
        ApiError::new(
            ErrorCode::InvalidRequestContent,
            format!(
                "Could not parse request body into json: Could not parse payload into json: {why}"
            ),
        )
    };
    // Skipping a value does not look into its strings, so check them first.
    let text = std::str::from_utf8(&payload).map_err(|e| bad(&e))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|e| bad(&e))?;
    Ok(payload)
}
