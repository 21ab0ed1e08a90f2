//! What the Runtime API says, in the words of AWS's own emulator.

use super::Event;
use super::state::Refusal;
use bytes::Bytes;
use hearth_types::INVOKE_RESPONSE_BYTES_MAX;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

/// A reply.
pub(super) type Reply = Response<Full<Bytes>>;

/// 202: taken.
pub(super) fn accepted() -> Reply {
    json(StatusCode::ACCEPTED, Bytes::from_static(b"{\"status\":\"OK\"}\n"))
}

/// The function's environment, or word that this is a clone.
pub(super) fn found(body: Bytes) -> Reply {
    json(StatusCode::OK, body)
}

/// The event, with its headers.
pub(super) fn event(event: Event) -> Reply {
    let Event { head, payload, deadline_unix_ms, .. } = event;
    let mut reply = json(StatusCode::OK, payload);
    let headers = reply.headers_mut();
    headers.reserve(6);
    let mut set = |name, value: String| {
        if !value.is_empty() {
            headers.insert(HeaderName::from_static(name), header_value(value));
        }
    };
    set("lambda-runtime-aws-request-id", head.request_id);
    set("lambda-runtime-deadline-ms", deadline_unix_ms.to_string());
    set("lambda-runtime-invoked-function-arn", head.invoked_arn);
    set("lambda-runtime-trace-id", head.trace_id);
    set("lambda-runtime-client-context", head.client_context.unwrap_or_default());
    reply
}

/// Line breaks, legal in the client context's JSON, are not in a header.
fn header_value(text: String) -> HeaderValue {
    let mut bytes = text.into_bytes();
    bytes.iter_mut().filter(|b| b.is_ascii_control()).for_each(|b| *b = b' ');
    HeaderValue::from_maybe_shared(Bytes::from(bytes)).expect("no control characters are left")
}

/// 400 or 403.
pub(super) fn refused(refusal: &Refusal) -> Reply {
    match refusal {
        Refusal::InvalidRequestId => {
            error(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID")
        }
        Refusal::WrongState { from, to } => error(
            StatusCode::FORBIDDEN,
            "InvalidStateTransition",
            &format!(
                "State transition from {from} to {to} failed for runtime. \
                 Error: State transition is not allowed"
            ),
        ),
    }
}

/// 413.
pub(super) fn too_large() -> Reply {
    error(
        StatusCode::PAYLOAD_TOO_LARGE,
        "RequestEntityTooLarge",
        &format!("Exceeded maximum allowed payload size ({INVOKE_RESPONSE_BYTES_MAX} bytes)."),
    )
}

/// 400: the body ended early or makes no sense.
pub(super) fn truncated() -> Reply {
    error(StatusCode::BAD_REQUEST, "TruncatedHTTPRequest", "HTTP request detected as truncated")
}

/// 404 or 405.
pub(super) fn no_such_route(status: StatusCode) -> Reply {
    error(status, "InvalidRequest", "There is no such operation in the Runtime API")
}

/// Both texts are plain, so they need no escaping.
fn error(status: StatusCode, kind: &str, message: &str) -> Reply {
    let body = format!("{{\"errorMessage\":\"{message}\",\"errorType\":\"{kind}\"}}\n");
    json(status, body.into())
}

fn json(status: StatusCode, body: Bytes) -> Reply {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    *reply.headers_mut() = headers;
    reply
}
