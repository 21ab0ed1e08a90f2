//! `Invoke`: a sandbox, the event to it, the answer back.
//!
//! ```text
//! version (cache) ─► acquire ─► worker.invoke ─┬─► release ─► answer
//!                       ▲                      │ gone: the event never arrived
//!                       └────── release ◄──────┘ (a few times at most)
//! ```

use crate::call::Call;
use crate::failure;
use crate::lease::Lease;
use crate::metrics;
use crate::options::INVOKE_ATTEMPTS_MAX;
use crate::reply::{self, Reply};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hearth_lambda_api::error::ThrottleReason;
use hearth_lambda_api::request::{self, InvocationType, InvokeRequest};
use hearth_lambda_api::{ApiError, ErrorCode, Qualifier, server_timing};
use hearth_services::assignment::{AcquireError, Disposition};
use hearth_services::control::runtime_not_built;
use hearth_services::worker::{
    CreateError, Invocation, InvokeError, InvokeResult, Invoked, Started,
};
use hearth_types::{
    FunctionArn, FunctionVersion, RequestId, StageTimes, StartKind, State, Timestamp,
};
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::Duration;
use tracing::field::display;

const EXECUTED_VERSION: HeaderName = HeaderName::from_static("x-amz-executed-version");
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const LOG_RESULT: HeaderName = HeaderName::from_static("x-amz-log-result");
const SERVER_TIMING: HeaderName = HeaderName::from_static(server_timing::HEADER);
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// An answer, and all that its headers tell.
struct Answer {
    body: Bytes,
    failed: bool,
    log_tail: Option<Bytes>,
    start: StartKind,
    stages: StageTimes,
}

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let function = call.function()?;
    let read = |headers: &_, body: &Bytes| request::invoke(headers, body.clone());
    let request = call.read(&call.parts.headers, read).await?;
    if request.kind == InvocationType::Event {
        return Err(ApiError::unsupported_operation("Invoke with InvocationType Event"));
    }
    let version = call.serving(&function).await?;
    check_state(&version)?;
    if request.kind == InvocationType::DryRun {
        return Ok(reply::empty(StatusCode::NO_CONTENT));
    }
    if call.shared.payloads.is_over(call.account()) {
        return Err(ApiError::throttled(ThrottleReason::Payloads));
    }
    let arn = match &function.qualifier {
        Some(Qualifier::Alias(alias)) => {
            FunctionArn { qualifier: Some(alias.clone()), ..version.arn_unqualified() }
        }
        Some(Qualifier::Version(_)) => version.arn_qualified(),
        None => version.arn_unqualified(),
    };
    let trace_id = request.trace_id.clone().unwrap_or_else(|| new_trace_id(call.request));
    let answer = run_in_sandbox(call, &version, &request, arn.to_string(), &trace_id).await?;
    metrics::invoked(answer.start, &answer.stages, answer.failed, call.arrived.elapsed());
    Ok(respond(call, answer, &version, &trace_id))
}

fn check_state(version: &FunctionVersion) -> Result<(), ApiError> {
    let state = match version.state {
        State::Active | State::Inactive => return Ok(()),
        State::Pending => "Pending",
        State::Failed => "Failed",
    };
    Err(ApiError::new(
        ErrorCode::ResourceConflict,
        format!(
            "The operation cannot be performed at this time. The function is currently in the \
             following state: {state}"
        ),
    ))
}

async fn run_in_sandbox(
    call: &Call,
    version: &Arc<FunctionVersion>,
    request: &InvokeRequest,
    invoked_arn: String,
    trace_id: &str,
) -> Result<Answer, ApiError> {
    let event = |hold, started| Invocation {
        hold,
        request_id: call.request,
        invoked_arn: invoked_arn.clone(),
        trace_id: trace_id.to_owned(),
        client_context: request.client_context.clone(),
        payload: request.payload.clone(),
        timeout: Duration::from_secs(u64::from(version.timeout.get())),
        started,
        log_tail: request.log_tail,
    };
    let deps = &call.shared.deps;
    let mut fresh_lost = 0;
    while fresh_lost < INVOKE_ATTEMPTS_MAX {
        let acquired = match deps.assignment.acquire(version, request.quickest).await {
            Ok(acquired) => acquired,
            Err(error) => return not_acquired(call.request, error),
        };
        let lease = Lease::new(acquired, deps.assignment.clone(), call.shared.tasks.clone());
        let (sandbox, start) = (lease.acquired.sandbox, lease.acquired.start);
        call.span.record("sandbox", display(sandbox));
        let mut stages = lease.acquired.stages;
        let invoked = match deps.workers.worker(&lease.acquired.worker) {
            None => Err(InvokeError::Gone),
            Some(worker) => {
                let started = started(start, &stages);
                worker.invoke(sandbox, event(lease.acquired.hold, started)).await
            }
        };
        match invoked {
            Ok(invoked) => {
                stages.run = invoked.run;
                let (answer, mut disposition) = judge(invoked, start, stages);
                if request.quickest != StartKind::Warm {
                    disposition = Disposition::Discard;
                }
                // Before the answer: the caller's next event must find it idle.
                lease.release(disposition).await;
                return Ok(answer);
            }
            Err(InvokeError::Gone) => {
                // Idle ones that died are used up at little cost; that a new one
                // dies before its first event is worth few tries.
                let is_fresh = start != StartKind::Warm;
                fresh_lost += usize::from(is_fresh);
                let gone = if is_fresh { Disposition::Missing } else { Disposition::Discard };
                lease.release(gone).await;
            }
            Err(error @ InvokeError::Busy(_)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an event was refused");
                lease.release(Disposition::Reusable).await;
                return Err(ApiError::throttled(ThrottleReason::Capacity));
            }
            Err(error @ InvokeError::Lost(_)) => {
                lease.release(Disposition::Discard).await;
                return Err(failure::internal(call.request, "running an event", &error));
            }
        }
    }
    tracing::error!(request = %call.request, "every sandbox that was tried is gone");
    Err(ApiError::service())
}

/// What only a sandbox's first invocation reports: how long its start took.
fn started(start: StartKind, stages: &StageTimes) -> Option<Started> {
    match start {
        StartKind::Warm => None,
        StartKind::Restored => Some(Started::Restored(stages.resume + stages.unique)),
        StartKind::Cold | StartKind::Booted => Some(Started::Initialised(stages.init)),
    }
}

/// What the caller gets, and whether the sandbox may serve again.
fn judge(invoked: Invoked, start: StartKind, stages: StageTimes) -> (Answer, Disposition) {
    let (body, failed, disposition) = match invoked.result {
        InvokeResult::Response(body) => (body, false, Disposition::Reusable),
        InvokeResult::HandlerError(failure) => (failure.body, true, Disposition::Reusable),
        InvokeResult::SandboxFailed(failure) => (failure.body, true, Disposition::Discard),
    };
    (Answer { body, failed, log_tail: invoked.log_tail, start, stages }, disposition)
}

/// No sandbox: the function's own fault is an answer, anything else an error.
fn not_acquired(request: RequestId, error: AcquireError) -> Result<Answer, ApiError> {
    match error {
        AcquireError::InitFailed { failure, stages } => Ok(Answer {
            body: failure.for_request(request).body,
            failed: true,
            log_tail: None,
            start: StartKind::Cold,
            stages,
        }),
        AcquireError::AccountConcurrency => {
            Err(ApiError::throttled(ThrottleReason::AccountConcurrency))
        }
        AcquireError::NoCapacity | AcquireError::Create(CreateError::NoCapacity) => {
            Err(ApiError::throttled(ThrottleReason::Capacity))
        }
        AcquireError::Create(CreateError::RuntimeNotBuilt(runtime)) => {
            Err(ApiError::new(ErrorCode::InvalidRuntime, runtime_not_built(runtime)))
        }
        AcquireError::Create(CreateError::RestoreFailed { failure }) => {
            Err(failure::restore(request, failure))
        }
        AcquireError::Create(error @ CreateError::RestoreTimedOut) => {
            Err(ApiError::new(ErrorCode::SnapStartTimeout, error.to_string()))
        }
        AcquireError::Create(_) | AcquireError::Unserved(_) => {
            Err(failure::internal(request, "starting a sandbox", &error))
        }
    }
}

fn respond(call: &Call, answer: Answer, version: &FunctionVersion, trace_id: &str) -> Reply {
    let mut reply = reply::json(200, call.shared.payloads.answer(call.account(), answer.body));
    let mut set = |name: HeaderName, value: &str| {
        // Every value is ASCII that was checked or made here.
        if let Ok(value) = HeaderValue::from_str(value) {
            reply.headers_mut().insert(name, value);
        }
    };
    set(EXECUTED_VERSION, &version.key.version.to_string());
    set(SERVER_TIMING, &server_timing::format(answer.start, &answer.stages));
    set(TRACE_ID, trace_id);
    if answer.failed {
        set(FUNCTION_ERROR, "Unhandled");
    }
    if let Some(tail) = answer.log_tail {
        set(LOG_RESULT, &STANDARD.encode(tail));
    }
    reply
}

/// A trace header for a caller that sent none, not sampled. The request's id
/// supplies the randomness.
fn new_trace_id(request: RequestId) -> String {
    let hex = request.to_string().replace('-', "");
    let (root, parent) = (&hex[..24], &hex[16..]);
    let epoch_s = Timestamp::now().as_seconds();
    format!("Root=1-{epoch_s:08x}-{root};Parent={parent};Sampled=0")
}
