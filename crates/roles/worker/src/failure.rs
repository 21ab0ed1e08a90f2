//! What a caller is told when a function fails: Lambda's own error types and
//! texts, as JSON.

use hearth_agent_proto::ExitStatus;
use hearth_services::worker::{FunctionFailure, InitFailure};
use hearth_types::{INVOKE_RESPONSE_BYTES_MAX, RequestId};
use std::time::Duration;

/// How an invocation or an init went wrong outside the handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    TimedOut(Duration),
    RuntimeExited { status: ExitStatus, out_of_memory: bool },
    ResponseTooLarge { bytes: u64 },
    NoEntrypoint,
    SandboxLost,
}

impl Failure {
    /// Every `errorType`.
    pub(crate) const TYPES: [&str; 6] = [
        "Sandbox.Timedout",
        "Runtime.OutOfMemory",
        "Runtime.ExitError",
        "Function.ResponseSizeTooLarge",
        "Runtime.InvalidEntrypoint",
        "Sandbox.Failure",
    ];

    /// `errorType`, as `REPORT` lines and responses show it.
    pub(crate) fn error_type(&self) -> &'static str {
        match self {
            Self::TimedOut(_) => "Sandbox.Timedout",
            Self::RuntimeExited { out_of_memory: true, .. } => "Runtime.OutOfMemory",
            Self::RuntimeExited { .. } => "Runtime.ExitError",
            Self::ResponseTooLarge { .. } => "Function.ResponseSizeTooLarge",
            Self::NoEntrypoint => "Runtime.InvalidEntrypoint",
            Self::SandboxLost => "Sandbox.Failure",
        }
    }

    /// What happened, without the request's id.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::TimedOut(limit) => {
                format!("Task timed out after {:.2} seconds", limit.as_secs_f64())
            }
            Self::RuntimeExited { status: ExitStatus::Exited(0), .. } => {
                "Runtime exited without providing a reason".into()
            }
            Self::RuntimeExited { status: ExitStatus::Exited(code), .. } => {
                format!("Runtime exited with error: exit status {code}")
            }
            Self::RuntimeExited { status: ExitStatus::Signaled(signal), .. } => {
                format!("Runtime exited with error: signal: {}", signal_name(*signal))
            }
            Self::ResponseTooLarge { bytes } => format!(
                "Response payload size ({bytes} bytes) exceeded maximum allowed payload size \
                 ({INVOKE_RESPONSE_BYTES_MAX} bytes)."
            ),
            Self::NoEntrypoint => "Couldn't find valid bootstrap(s): \
                 [/var/task/bootstrap /opt/bootstrap]"
                .into(),
            Self::SandboxLost => "the execution environment failed".into(),
        }
    }

    /// The answer to the caller of one request.
    pub(crate) fn for_request(&self, id: RequestId) -> FunctionFailure {
        match self {
            Self::ResponseTooLarge { .. } => {
                FunctionFailure::of(self.answered_type(), &self.text())
            }
            _ => FunctionFailure::befell(id, self.answered_type(), &self.text()),
        }
    }

    /// The same, while the sandbox is made and knows of no request.
    pub(crate) fn for_init(&self) -> InitFailure {
        InitFailure::Befell { error_type: self.answered_type().into(), text: self.text() }
    }

    /// `errorType` as callers see it: they match on ExitError for every death of
    /// the runtime, as AWS's do.
    fn answered_type(&self) -> &'static str {
        match self {
            Self::RuntimeExited { .. } => "Runtime.ExitError",
            other => other.error_type(),
        }
    }
}

fn signal_name(signal: i32) -> String {
    match signal {
        4 => "illegal instruction".into(),
        6 => "aborted".into(),
        7 => "bus error".into(),
        8 => "floating point exception".into(),
        9 => "killed".into(),
        11 => "segmentation fault".into(),
        15 => "terminated".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_see_lambdas_own_words() {
        let id = RequestId::new();
        let body = |f: Failure| String::from_utf8(f.for_request(id).body.to_vec()).unwrap();
        assert_eq!(
            body(Failure::TimedOut(Duration::from_secs(3))),
            format!(
                r#"{{"errorMessage":"RequestId: {id} Error: Task timed out after 3.00 seconds","errorType":"Sandbox.Timedout"}}"#
            )
        );
        let oom = Failure::RuntimeExited { status: ExitStatus::Signaled(9), out_of_memory: true };
        assert_eq!(oom.error_type(), "Runtime.OutOfMemory");
        assert!(body(oom).contains("Runtime.ExitError"));
    }
}
