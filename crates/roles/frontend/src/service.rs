//! One request, from its head to its response.

use crate::auth::{self, Caller};
use crate::call::{self, Call, Shared};
use crate::fair_share::Full;
use crate::reply::{self, Reply};
use crate::upload::{BodyError, Upload};
use crate::{failure, metrics, ops};
use bytes::Bytes;
use hearth_lambda_api::error::ThrottleReason;
use hearth_lambda_api::{ApiError, ErrorCode, Operation, request};
use hearth_types::{INVOKE_PAYLOAD_BYTES_MAX, RequestId};
use http::request::Parts;
use hyper::Request;
use hyper::body::Incoming;
use std::sync::Arc;
use tokio::time::Instant;
use tracing::Instrument;

/// Answers a request. It never fails: what goes wrong is an error response.
pub(crate) async fn handle(shared: Arc<Shared>, http: Request<Incoming>) -> Reply {
    let request = RequestId::new();
    let (parts, body) = http.into_parts();
    let mut upload = Upload::new(body, &parts.headers);
    let mut reply = match answer(&shared, request, parts, &mut upload).await {
        Ok(reply) => reply,
        Err(error) => {
            metrics::refused(&error);
            shared.payloads.drain(&mut upload).await;
            reply::error(&error)
        }
    };
    if !upload.has_ended() {
        reply::close(&mut reply);
    }
    reply::stamp(&mut reply, request);
    reply
}

async fn answer(
    shared: &Arc<Shared>,
    request: RequestId,
    parts: Parts,
    upload: &mut Upload,
) -> Result<Reply, ApiError> {
    let query = parts.uri.query().unwrap_or_default();
    let operation = shared
        .router
        .route(&parts.method, parts.uri.path(), query)
        .map(|route| route.operation)
        .ok_or_else(|| {
            ApiError::new(ErrorCode::UnknownOperation, "No Lambda operation has this path.")
        })?;
    match operation {
        // The two that need no signature.
        Operation::HearthHealth => return Ok(ops::health()),
        Operation::HearthReady => return Ok(ops::ready((shared.deps.is_ready)())),
        _ => {}
    }
    let (caller, body, arrived) = admit(shared, request, operation, &parts, upload).await?;
    let (shared, span) = (shared.clone(), call::span(request));
    run(Call { shared, request, arrived, operation, caller, parts, body, span }).await
}

/// Verifies a request, and reads its body on the way; when that was here.
async fn admit(
    shared: &Shared,
    request: RequestId,
    operation: Operation,
    parts: &Parts,
    upload: &mut Upload,
) -> Result<(Caller, Bytes, Instant), ApiError> {
    let (signed, key) = auth::claim(&shared.config, parts, request).await?;
    let caller = Caller::new(&signed, key.clone());
    let head = signed.verify_head(&key.secret).map_err(failure::signature)?;
    let max = body_bytes_max(operation);
    let refused = |error| failure::body(error, operation, max);
    let allowance = shared.payloads.allowance(&caller.account, head.is_proven());
    let body = upload.read(max, allowance, &shared.options).await;
    let arrived = Instant::now();
    let body = body.map_err(refused)?;
    auth::verify(head, &body.bytes, request).await?;
    let body = shared.payloads.keep(body).map_err(|Full| refused(BodyError::NoRoom))?;
    Ok((caller, body, arrived))
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
    let (request, span) = (call.request, call.span.clone());
    let slot = shared
        .calls
        .clone()
        .try_acquire_owned()
        .map_err(|_full| ApiError::throttled(ThrottleReason::Requests))?;
    let run = async move {
        let _slot = slot;
        ops::dispatch(&call).await
    };
    let task = hearth_tasks::spawn_tracked(&shared.tasks, "call", run.instrument(span));
    task.await.unwrap_or_else(|panic| Err(failure::internal(request, "a call", &panic)))
}
