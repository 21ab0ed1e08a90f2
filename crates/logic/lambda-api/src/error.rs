//! Errors as AWS spells them: one table from code to status and body.

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal $status:literal $member:literal $fault:expr;)*) => {
        /// An error's code: what `x-amzn-errortype` carries and SDKs make
        /// exception classes of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[ErrorCode] = &[$(Self::$name,)*];

            /// The code as text.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status.
            pub fn status(self) -> StatusCode {
                let status = match self { $(Self::$name => $status,)* };
                StatusCode::from_u16(status).expect("the table holds legal statuses")
            }

            /// The body member that carries the text; the model is not of one mind.
            fn message_member(self) -> &'static str {
                match self { $(Self::$name => $member,)* }
            }

            /// `Type`, where the model has one: whose fault it was.
            fn fault(self) -> Option<&'static str> {
                match self { $(Self::$name => $fault,)* }
            }
        }
    };
}

const USER: Option<&str> = Some("User");
const SERVICE: Option<&str> = Some("Service");

error_codes! {
    /// The caller may not do this.
    AccessDenied = "AccessDeniedException" 403 "Message" None;
    /// The account's code storage is full.
    CodeStorageExceeded = "CodeStorageExceededException" 400 "message" USER;
    /// The signature cannot be read.
    IncompleteSignature = "IncompleteSignatureException" 403 "message" None;
    /// A value is not acceptable.
    InvalidParameterValue = "InvalidParameterValueException" 400 "message" USER;
    /// The body is not what it should be.
    InvalidRequestContent = "InvalidRequestContentException" 400 "message" USER;
    /// The function's runtime cannot be run here.
    InvalidRuntime = "InvalidRuntimeException" 502 "Message" SERVICE;
    /// The signature is wrong.
    InvalidSignature = "InvalidSignatureException" 403 "message" None;
    /// The request is not signed.
    MissingAuthenticationToken = "MissingAuthenticationTokenException" 403 "message" None;
    /// The state is not the one that the caller named.
    PreconditionFailed = "PreconditionFailedException" 412 "message" USER;
    /// The body is over the operation's bound.
    RequestEntityTooLarge = "RequestEntityTooLargeException" 413 "message" None;
    /// The client was too slow.
    RequestTimeout = "RequestTimeoutException" 408 "message" None;
    /// The invoke's payload is over its bound.
    RequestTooLarge = "RequestTooLargeException" 413 "message" USER;
    /// It exists already, or is being changed.
    ResourceConflict = "ResourceConflictException" 409 "message" USER;
    /// There is no such thing.
    ResourceNotFound = "ResourceNotFoundException" 404 "Message" USER;
    /// The version cannot be invoked in its state.
    ResourceNotReady = "ResourceNotReadyException" 502 "message" USER;
    /// A member has the wrong type.
    Serialization = "SerializationException" 400 "Message" None;
    /// Hearth failed.
    Service = "ServiceException" 500 "Message" SERVICE;
    /// A hook of the function failed in a clone of its snapshot.
    SnapStart = "SnapStartException" 400 "Message" USER;
    /// The function's hooks took too long there.
    SnapStartTimeout = "SnapStartTimeoutException" 408 "Message" USER;
    /// Over a limit; try again later.
    TooManyRequests = "TooManyRequestsException" 429 "message" USER;
    /// The path is no operation.
    UnknownOperation = "UnknownOperationException" 404 "message" None;
    /// The access key is unknown.
    UnrecognizedClient = "UnrecognizedClientException" 403 "message" None;
    /// AWS has it, Hearth does not.
    UnsupportedOperation = "UnsupportedOperationException" 501 "message" USER;
    /// A member breaks a constraint of the model.
    Validation = "ValidationException" 400 "message" None;
}

/// `Reason` of a throttled request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThrottleReason {
    /// The account runs as many invocations as it may.
    AccountConcurrency,
    /// The machine is full, which an account sees as the same limit.
    Capacity,
    /// Too many requests of any kind are in flight.
    Requests,
    /// The account's share of the memory for payloads is in use.
    Payloads,
    /// The account has as many slow uploads and downloads as it may.
    Transfers,
}

impl ThrottleReason {
    /// Every reason, in the order of their discriminants.
    pub const ALL: [Self; 5] =
        [Self::AccountConcurrency, Self::Capacity, Self::Requests, Self::Payloads, Self::Transfers];

    fn as_str(self) -> &'static str {
        match self {
            Self::AccountConcurrency | Self::Capacity => "ConcurrentInvocationLimitExceeded",
            Self::Requests | Self::Payloads | Self::Transfers => "CallerRateLimitExceeded",
        }
    }
}

/// What a throttled client is told to wait.
const RETRY_AFTER_S: u32 = 1;

/// An error on its way to the user. Its text is for the user: nothing internal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct ApiError {
    /// What went wrong.
    pub code: ErrorCode,
    /// In words.
    pub message: String,
    /// Why, if it was throttled.
    pub throttle: Option<ThrottleReason>,
}

impl ApiError {
    /// An error with a text.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), throttle: None }
    }

    /// `InvalidParameterValueException`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidParameterValue, message)
    }

    /// A request for something of AWS's that Hearth does not have.
    pub fn unsupported_value(what: &str) -> Self {
        Self::invalid(format!("Hearth does not support {what} yet."))
    }

    /// `ResourceNotFoundException` for a function or version.
    pub fn function_not_found(arn: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::ResourceNotFound, format!("Function not found: {arn}"))
    }

    /// `ResourceConflictException`: others keep changing the function.
    pub fn update_in_progress(arn: impl std::fmt::Display) -> Self {
        let message = format!(
            "The operation cannot be performed at this time. An update is in progress for \
             resource: {arn}"
        );
        Self::new(ErrorCode::ResourceConflict, message)
    }

    /// `TooManyRequestsException`.
    pub fn throttled(reason: ThrottleReason) -> Self {
        let message = match reason {
            ThrottleReason::AccountConcurrency => "Rate Exceeded.",
            ThrottleReason::Capacity => "Rate Exceeded: no capacity is left for another sandbox.",
            ThrottleReason::Requests => "Rate exceeded",
            ThrottleReason::Payloads => {
                "Rate exceeded: requests and answers in progress hold all the memory that this \
                 account may have for large ones. Try again once some are done, or send fewer or \
                 smaller ones at once."
            }
            ThrottleReason::Transfers => {
                "Rate exceeded: as many slow uploads and downloads are in progress as this \
                 account may have. Try again once some are done, or start fewer at once."
            }
        };
        Self { throttle: Some(reason), ..Self::new(ErrorCode::TooManyRequests, message) }
    }

    /// `ServiceException`: says nothing, because what there is to say is internal.
    pub fn service() -> Self {
        Self::new(
            ErrorCode::Service,
            "The service encountered an internal error. Please try again later.",
        )
    }

    /// An operation of AWS's that Hearth does not have.
    pub fn unsupported_operation(operation: &str) -> Self {
        Self::new(
            ErrorCode::UnsupportedOperation,
            format!("Hearth does not implement {operation} yet."),
        )
    }

    /// Seconds for the `Retry-After` header.
    pub fn retry_after_s(&self) -> Option<u32> {
        self.throttle.map(|_| RETRY_AFTER_S)
    }

    /// The JSON body.
    pub fn body(&self) -> Bytes {
        let mut body = json!({ self.code.message_member(): self.message });
        if let Some(fault) = self.code.fault() {
            body["Type"] = fault.into();
        }
        if let Some(reason) = self.throttle {
            body["Reason"] = reason.as_str().into();
            body["retryAfterSeconds"] = RETRY_AFTER_S.to_string().into();
        }
        body.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_legal_status_and_a_name() {
        for code in ErrorCode::ALL {
            assert!(code.status().is_client_error() || code.status().is_server_error());
            assert!(code.as_str().ends_with("Exception"));
        }
    }

    #[test]
    fn every_throttle_reason_is_in_its_place() {
        for (place, reason) in ThrottleReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }

    #[test]
    fn a_throttle_says_why_and_when() {
        let error = ApiError::throttled(ThrottleReason::AccountConcurrency);
        let body: serde_json::Value = serde_json::from_slice(&error.body()).unwrap();
        assert_eq!(body["Reason"], "ConcurrentInvocationLimitExceeded");
        assert_eq!(body["Type"], "User");
        assert_eq!(error.retry_after_s(), Some(1));
    }
}
