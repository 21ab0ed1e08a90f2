//! From what went wrong inside to what the user is told. Internal causes are
//! logged here, once, with the request's id, and never shown.

use crate::cache::ReadError;
use crate::upload::BodyError;
use hearth_lambda_api::error::ThrottleReason;
use hearth_lambda_api::{ApiError, ErrorCode, Operation, request};
use hearth_services::control::ControlError;
use hearth_services::worker::InitFailure;
use hearth_sigv4::SigV4Error;
use hearth_types::{FunctionName, RequestId};
use std::error::Error;

/// Logs an internal failure and makes the answer that hides it.
pub(crate) fn internal(request: RequestId, doing: &str, error: &(dyn Error + 'static)) -> ApiError {
    tracing::error!(%request, error, "{doing} failed");
    ApiError::service()
}

/// A refused control call; `arn` names a function as the caller does, unless it is
/// told which version or alias of it is meant.
pub(crate) fn control(
    request: RequestId,
    error: ControlError,
    arn: impl Fn(&FunctionName, Option<String>) -> String,
) -> ApiError {
    let code = match &error {
        ControlError::FunctionNotFound(name) => {
            return ApiError::function_not_found(arn(name, None));
        }
        ControlError::VersionNotFound(name, version) => {
            return ApiError::function_not_found(arn(name, Some(version.to_string())));
        }
        ControlError::UpdateInProgress(name) => {
            return ApiError::update_in_progress(arn(name, None));
        }
        ControlError::AliasNotFound(name, alias) => {
            let arn = arn(name, Some(alias.to_string()));
            let text = format!("Cannot find alias arn: {arn}");
            return ApiError::new(ErrorCode::ResourceNotFound, text);
        }
        ControlError::AliasExists(name, alias) => {
            let arn = arn(name, Some(alias.to_string()));
            let text = format!("Alias already exists: {arn}");
            return ApiError::new(ErrorCode::ResourceConflict, text);
        }
        ControlError::FunctionExists(_) | ControlError::Conflict(_) => ErrorCode::ResourceConflict,
        ControlError::PreconditionFailed(_) => ErrorCode::PreconditionFailed,
        ControlError::BadCode(_) | ControlError::Invalid(_) => ErrorCode::InvalidParameterValue,
        ControlError::CodeTooLarge(_) => ErrorCode::CodeStorageExceeded,
        ControlError::Unsupported(_) => ErrorCode::UnsupportedOperation,
        // The caller asked for nothing wrong: the server lacks something.
        ControlError::RuntimeNotBuilt(_) => ErrorCode::Service,
        ControlError::Internal(_) => return internal(request, "a control call", &error),
    };
    ApiError::new(code, error.to_string())
}

/// A function's hook that failed in a clone: in the words that its runtime reported.
pub(crate) fn restore(request: RequestId, failure: InitFailure) -> ApiError {
    let body = failure.for_request(request).body;
    let told = serde_json::from_slice::<serde_json::Value>(&body).ok();
    let member = |name: &str| Some(told.as_ref()?.get(name)?.as_str()?.to_owned());
    let text = match (member("errorType"), member("errorMessage")) {
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        (kind, message) => kind.or(message).unwrap_or_else(|| "it gave no reason".to_owned()),
    };
    ApiError::new(ErrorCode::SnapStart, format!("A runtime hook failed after the restore: {text}"))
}

/// A failed cache or store read.
pub(crate) fn read(request: RequestId, error: ReadError) -> ApiError {
    internal(request, "reading the configuration", &error)
}

/// A body that was not read; `max` is the operation's bound.
pub(crate) fn body(error: BodyError, operation: Operation, max: usize) -> ApiError {
    match error {
        BodyError::TooLarge(length) if operation == Operation::Invoke => {
            request::payload_too_large(length)
        }
        BodyError::TooLarge(_) => request::too_large(max, operation.name()),
        BodyError::TooSlow => {
            ApiError::new(ErrorCode::RequestTimeout, "The request's body was not received in time.")
        }
        BodyError::Broken => {
            ApiError::new(ErrorCode::InvalidRequestContent, "The request's body could not be read.")
        }
        BodyError::NoRoom => ApiError::throttled(ThrottleReason::Payloads),
        BodyError::TooManySlow => ApiError::throttled(ThrottleReason::Transfers),
    }
}

/// A request that is not authentic.
pub(crate) fn signature(error: SigV4Error) -> ApiError {
    let code = match error {
        SigV4Error::MissingToken => ErrorCode::MissingAuthenticationToken,
        SigV4Error::Incomplete(_) => ErrorCode::IncompleteSignature,
        SigV4Error::UnknownToken => ErrorCode::UnrecognizedClient,
        SigV4Error::Invalid(_) | SigV4Error::Mismatch => ErrorCode::InvalidSignature,
    };
    ApiError::new(code, error.to_string())
}
