//! Errors of services as they travel: what callers act upon stays what it is, and of the
//! rest the text.

use hearth_rpc::{CallError, Refusal};
use hearth_services::assignment::AcquireError;
use hearth_services::snapshots::BuildError;
use hearth_services::worker::{CreateError, Deposed, InitFailure};
use hearth_types::{INVOKE_RESPONSE_BYTES_MAX, Runtime, StageTimes};
use serde::{Deserialize, Serialize};
use std::error::Error;

/// What surrounds a payload.
pub(crate) const AROUND_PAYLOAD_BYTES: usize = 256 * 1024;
/// What an answer may be that can tell how a function failed, in the function's own words.
pub(crate) const WITH_FAILURE_BYTES_MAX: usize = INVOKE_RESPONSE_BYTES_MAX + AROUND_PAYLOAD_BYTES;
/// Longest text of an error that travels.
const TEXT_BYTES_MAX: usize = 4096;

/// What went wrong in another process.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Elsewhere(String);

fn elsewhere(text: String) -> Box<dyn Error + Send + Sync> {
    Box::new(Elsewhere(text))
}

/// An error with its causes.
fn text(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    text
}

/// [`CreateError`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum CreateFailure {
    NoCapacity,
    RuntimeNotBuilt(Runtime),
    InitFailed { failure: InitFailure, stages: StageTimes },
    RestoreFailed { failure: InitFailure },
    RestoreTimedOut,
    Fetch(String),
    Vm(String),
    ShuttingDown,
    Deposed(Deposed),
    Unreachable(String),
}

impl From<CreateError> for CreateFailure {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::NoCapacity => Self::NoCapacity,
            CreateError::RuntimeNotBuilt(runtime) => Self::RuntimeNotBuilt(runtime),
            CreateError::InitFailed { failure, stages } => Self::InitFailed { failure, stages },
            CreateError::RestoreFailed { failure } => Self::RestoreFailed { failure },
            CreateError::RestoreTimedOut => Self::RestoreTimedOut,
            CreateError::Fetch(error) => Self::Fetch(text(&*error)),
            CreateError::Vm(error) => Self::Vm(text(&*error)),
            CreateError::ShuttingDown => Self::ShuttingDown,
            CreateError::Deposed(deposed) => Self::Deposed(deposed),
            CreateError::Unreachable(error) => Self::Unreachable(text(&*error)),
        }
    }
}

impl From<CreateFailure> for CreateError {
    fn from(failure: CreateFailure) -> Self {
        match failure {
            CreateFailure::NoCapacity => Self::NoCapacity,
            CreateFailure::RuntimeNotBuilt(runtime) => Self::RuntimeNotBuilt(runtime),
            CreateFailure::InitFailed { failure, stages } => Self::InitFailed { failure, stages },
            CreateFailure::RestoreFailed { failure } => Self::RestoreFailed { failure },
            CreateFailure::RestoreTimedOut => Self::RestoreTimedOut,
            CreateFailure::Fetch(text) => Self::Fetch(elsewhere(text)),
            CreateFailure::Vm(text) => Self::Vm(elsewhere(text)),
            CreateFailure::ShuttingDown => Self::ShuttingDown,
            CreateFailure::Deposed(deposed) => Self::Deposed(deposed),
            CreateFailure::Unreachable(text) => Self::Unreachable(elsewhere(text)),
        }
    }
}

/// [`AcquireError`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum AcquireFailure {
    AccountConcurrency,
    NoCapacity,
    InitFailed { failure: InitFailure, stages: StageTimes },
    Unserved(String),
    Create(CreateFailure),
}

impl From<AcquireError> for AcquireFailure {
    fn from(error: AcquireError) -> Self {
        match error {
            AcquireError::AccountConcurrency => Self::AccountConcurrency,
            AcquireError::NoCapacity => Self::NoCapacity,
            AcquireError::InitFailed { failure, stages } => Self::InitFailed { failure, stages },
            AcquireError::Unserved(error) => Self::Unserved(text(&*error)),
            AcquireError::Create(error) => Self::Create(error.into()),
        }
    }
}

impl From<AcquireFailure> for AcquireError {
    fn from(failure: AcquireFailure) -> Self {
        match failure {
            AcquireFailure::AccountConcurrency => Self::AccountConcurrency,
            AcquireFailure::NoCapacity => Self::NoCapacity,
            AcquireFailure::InitFailed { failure, stages } => Self::InitFailed { failure, stages },
            AcquireFailure::Unserved(text) => Self::Unserved(elsewhere(text)),
            AcquireFailure::Create(failure) => Self::Create(failure.into()),
        }
    }
}

/// [`BuildError`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum BuildFailure {
    InitFailed { failure: InitFailure },
    NoCapacity,
    Failed(String),
    ShuttingDown,
}

impl From<BuildError> for BuildFailure {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::InitFailed { failure } => Self::InitFailed { failure },
            BuildError::NoCapacity => Self::NoCapacity,
            BuildError::Failed(error) => Self::Failed(text(&*error)),
            BuildError::ShuttingDown => Self::ShuttingDown,
        }
    }
}

impl From<BuildFailure> for BuildError {
    fn from(failure: BuildFailure) -> Self {
        match failure {
            BuildFailure::InitFailed { failure } => Self::InitFailed { failure },
            BuildFailure::NoCapacity => Self::NoCapacity,
            BuildFailure::Failed(text) => Self::Failed(elsewhere(text)),
            BuildFailure::ShuttingDown => Self::ShuttingDown,
        }
    }
}

/// Whether the peer has more under way than it takes on.
pub(crate) fn is_over_limit(error: &CallError) -> bool {
    matches!(error, CallError::Refused { source: Refusal::OverLimit(_), .. })
}

/// Whether the call certainly had no effect.
pub(crate) fn had_no_effect(error: &CallError) -> bool {
    matches!(error, CallError::NotSent { .. } | CallError::Refused { .. })
}

/// Any error's text, to be sent.
pub(crate) fn as_text(error: &(dyn Error + 'static)) -> String {
    text(error)
}

/// A text that was sent, as an error.
pub(crate) fn from_text(text: String) -> Box<dyn Error + Send + Sync> {
    elsewhere(text)
}
