//! One request, from its head to its response.

use crate::auth::{self, Caller};
use crate::body::{self, BodyError, BoundedBody};
use crate::call::{Call, Shared};
use crate::reply::{self, Reply};
use crate::{failure, ops};
use hearth_lambda_api::error::ThrottleReason;
use hearth_lambda_api::{ApiError, ErrorCode, Operation, request};
use hearth_types::{INVOKE_PAYLOAD_BYTES_MAX, RequestId, Timestamp};
use http::request::Parts;
use hyper::Request;
use hyper::body::Incoming;
use std::sync::Arc;

/// Answers a request. It never fails: what goes wrong is an error response.
pub(crate) async fn handle(shared: Arc<Shared>, http: Request<Incoming>) -> Reply {
    let request = RequestId::new();
    let (parts, mut body) = http.into_parts();
    let mut reply = match answer(&shared, request, parts, &mut body).await {
        Ok(reply) => reply,
        Err(Refusal { error, drain_for }) => {
            if let Some(headers) = drain_for {
                body::drain(&mut body, &headers).await;
            }
            reply::error(&error)
        }
    };
    reply::stamp(&mut reply, request);
    reply
}

/// An error, and the headers of the request if its body is yet unread.
struct Refusal {
    error: ApiError,
    drain_for: Option<http::HeaderMap>,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self { error, drain_for: None }
    }
}

async fn answer(
    shared: &Arc<Shared>,
    request: RequestId,
    parts: Parts,
    body: &mut Incoming,
) -> Result<Reply, Refusal> {
    match admit(shared, request, &parts, body).await {
        Ok(Admitted::Health) => Ok(ops::health()),
        Ok(Admitted::Call { operation, caller, body, now }) => {
            let parts = auth::verify(&caller, parts, &body.bytes, now).await?;
            let call = Call { shared: shared.clone(), request, operation, caller, parts, body };
            Ok(run(call).await?)
        }
        // A client that stalls has been waited for long enough.
        Err(error) if error.code == ErrorCode::RequestTimeout => Err(error.into()),
        Err(error) => Err(Refusal { error, drain_for: Some(parts.headers) }),
    }
}

/// A request that may go on.
enum Admitted {
    /// The one operation that needs no signature.
    Health,
    /// Read in full; its signature is yet to be verified.
    Call { operation: Operation, caller: Caller, body: BoundedBody, now: Timestamp },
}

async fn admit(
    shared: &Shared,
    request: RequestId,
    parts: &Parts,
    body: &mut Incoming,
) -> Result<Admitted, ApiError> {
    let query = parts.uri.query().unwrap_or_default();
    let operation = shared
        .router
        .route(&parts.method, parts.uri.path(), query)
        .map(|route| route.operation)
        .ok_or_else(|| {
            ApiError::new(ErrorCode::UnknownOperation, "No Lambda operation has this path.")
        })?;
    if operation == Operation::HearthHealth {
        return Ok(Admitted::Health);
    }
    let now = Timestamp::now();
    let caller = auth::claim(&shared.config, parts, now, request).await?;
    let max = body_bytes_max(operation);
    let body = shared.bodies.read(body, max).await.map_err(|error| match error {
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
        BodyError::NoRoom => ApiError::throttled(ThrottleReason::Requests),
    })?;
    Ok(Admitted::Call { operation, caller, body, now })
}

fn body_bytes_max(operation: Operation) -> usize {
    match operation {
        Operation::Invoke => INVOKE_PAYLOAD_BYTES_MAX,
        Operation::CreateFunction | Operation::UpdateFunctionCode => request::REQUEST_BYTES_MAX,
        _ => request::SMALL_REQUEST_BYTES_MAX,
    }
}

/// Runs a call to its end in a task of its own, so that a client that goes away
/// cannot stop it halfway.
async fn run(call: Call) -> Result<Reply, ApiError> {
    let shared = call.shared.clone();
    let request = call.request;
    let slot = shared
        .calls
        .clone()
        .try_acquire_owned()
        .map_err(|_full| ApiError::throttled(ThrottleReason::Requests))?;
    let task = hearth_tasks::spawn_tracked(&shared.tasks, "call", async move {
        let _slot = slot;
        ops::dispatch(&call).await
    });
    task.await.unwrap_or_else(|panic| Err(failure::internal(request, "a call", &panic)))
}
