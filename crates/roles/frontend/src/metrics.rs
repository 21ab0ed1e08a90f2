//! What the front end tells its operator. Handles are made once, so that
//! recording is an atomic addition or two.

use hearth_lambda_api::error::ThrottleReason;
use hearth_lambda_api::{ApiError, ErrorCode};
use hearth_types::{StageTimes, StartKind};
use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};
use std::sync::LazyLock;
use std::time::Duration;

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::register);

const INVOKES: &str = "hearth_frontend_invokes_total";
const INVOKE: &str = "hearth_frontend_invoke_seconds";
const OVERHEAD: &str = "hearth_frontend_invoke_overhead_seconds";
const STAGE: &str = "hearth_frontend_invoke_stage_seconds";
const ERRORS: &str = "hearth_frontend_errors_total";
const THROTTLES: &str = "hearth_frontend_throttles_total";
const SIGNATURES: &str = "hearth_frontend_signature_refusals_total";

struct Metrics {
    /// In the order of their discriminants.
    starts: [ByStart; StartKind::ALL.len()],
    stages: [Histogram; 8],
    errors: Vec<Counter>,
    throttles: [Counter; ThrottleReason::ALL.len()],
    signatures: [Counter; 4],
}

struct ByStart {
    answered: Counter,
    failed: Counter,
    total: Histogram,
    overhead: Histogram,
}

/// Makes the front end's metrics known to the recorder that is installed, at zero.
pub fn register_metrics() {
    Metrics::register();
}

/// An invoke was answered, by the function or with its failure.
pub(crate) fn invoked(start: StartKind, stages: &StageTimes, failed: bool, total: Duration) {
    let metrics = &*METRICS;
    let by_start = &metrics.starts[start as usize];
    if failed { &by_start.failed } else { &by_start.answered }.increment(1);
    by_start.total.record(total);
    by_start.overhead.record(total.saturating_sub(stages.run));
    for ((_, time), histogram) in stages.named().into_iter().zip(&metrics.stages) {
        // A stage that did not happen is no fast one.
        if !time.is_zero() {
            histogram.record(time);
        }
    }
}

/// A request was answered with an error.
pub(crate) fn refused(error: &ApiError) {
    let metrics = &*METRICS;
    metrics.errors[error.code as usize].increment(1);
    if let Some(reason) = error.throttle {
        metrics.throttles[reason as usize].increment(1);
    }
    let signature = match error.code {
        ErrorCode::MissingAuthenticationToken => 0,
        ErrorCode::IncompleteSignature => 1,
        ErrorCode::UnrecognizedClient => 2,
        ErrorCode::InvalidSignature => 3,
        _ => return,
    };
    metrics.signatures[signature].increment(1);
}

impl Metrics {
    fn register() -> Self {
        describe_counter!(
            INVOKES,
            Unit::Count,
            "Invokes that were answered, by how their sandbox came to be and by outcome: \
             `answered`, or `function_error` (the function failed)"
        );
        describe_histogram!(
            INVOKE,
            Unit::Seconds,
            "From a request's last byte to its answer, for invokes that were answered"
        );
        describe_histogram!(
            OVERHEAD,
            Unit::Seconds,
            "From a request's last byte to its answer, less the function's own run: what Hearth adds"
        );
        describe_histogram!(
            STAGE,
            Unit::Seconds,
            "Where the time of an invoke went; stages that did not happen are not counted"
        );
        describe_counter!(
            ERRORS,
            Unit::Count,
            "Requests that were answered with an error of the Lambda API, by its code"
        );
        describe_counter!(
            THROTTLES,
            Unit::Count,
            "Requests that were answered 429: `account_concurrency` (the account runs as many as \
             it may), `capacity` (no worker has room), `requests` (too many in flight), `payloads` \
             (the account's share of the memory for large payloads is in use), `transfers` (the \
             account has as many slow uploads and downloads as it may)"
        );
        describe_counter!(
            SIGNATURES,
            Unit::Count,
            "Requests that were not authentic: `missing`, `incomplete`, `unknown_key` or \
             `invalid` signature"
        );
        let stages = StageTimes::default().named();
        Self {
            starts: StartKind::ALL.map(|start| {
                let start = start.as_str();
                ByStart {
                    answered: counter!(INVOKES, "start" => start, "outcome" => "answered"),
                    failed: counter!(INVOKES, "start" => start, "outcome" => "function_error"),
                    total: histogram!(INVOKE, "start" => start),
                    overhead: histogram!(OVERHEAD, "start" => start),
                }
            }),
            stages: stages.map(|(stage, _)| histogram!(STAGE, "stage" => stage)),
            errors: ErrorCode::ALL.iter().map(|c| counter!(ERRORS, "code" => c.as_str())).collect(),
            throttles: ThrottleReason::ALL
                .map(|reason| counter!(THROTTLES, "reason" => throttle(reason))),
            signatures: ["missing", "incomplete", "unknown_key", "invalid"]
                .map(|reason| counter!(SIGNATURES, "reason" => reason)),
        }
    }
}

fn throttle(reason: ThrottleReason) -> &'static str {
    match reason {
        ThrottleReason::AccountConcurrency => "account_concurrency",
        ThrottleReason::Capacity => "capacity",
        ThrottleReason::Requests => "requests",
        ThrottleReason::Payloads => "payloads",
        ThrottleReason::Transfers => "transfers",
    }
}
