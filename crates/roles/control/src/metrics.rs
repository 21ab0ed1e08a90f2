//! What control tells its operator.

use hearth_services::control::ControlError;
use metrics::{Unit, counter, describe_counter};

const CHANGES: &str = "hearth_control_changes_total";
const BUILDS: &str = "hearth_control_snapshot_builds_total";
const OPERATIONS: [&str; 10] = [
    "create_function",
    "update_code",
    "update_settings",
    "publish_version",
    "delete_function",
    "create_alias",
    "update_alias",
    "delete_alias",
    "tag",
    "untag",
];

/// Makes control's metrics known to the recorder that is installed, at zero.
pub fn register_metrics() {
    describe_counter!(
        CHANGES,
        Unit::Count,
        "Changes asked for: `done`, `refused` (the caller's fault) or `failed` (ours: see the log)"
    );
    describe_counter!(
        BUILDS,
        Unit::Count,
        "Tries to build the snapshot of a published version: `built`, `init_failed` (the \
         function's own fault), `no_capacity` and `failed` (ours: see the log; tried again a few \
         times), `gone` (the version was deleted meanwhile), `stopped` (the server stops)"
    );
    for end in BuildEnd::ALL {
        counter!(BUILDS, "outcome" => end.as_str()).absolute(0);
    }
    for operation in OPERATIONS {
        for outcome in ["done", "refused", "failed"] {
            counter!(CHANGES, "operation" => operation, "outcome" => outcome).absolute(0);
        }
    }
}

/// How a try to build a snapshot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuildEnd {
    Built,
    InitFailed,
    NoCapacity,
    Failed,
    Gone,
    Stopped,
}

impl BuildEnd {
    const ALL: [Self; 6] =
        [Self::Built, Self::InitFailed, Self::NoCapacity, Self::Failed, Self::Gone, Self::Stopped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::InitFailed => "init_failed",
            Self::NoCapacity => "no_capacity",
            Self::Failed => "failed",
            Self::Gone => "gone",
            Self::Stopped => "stopped",
        }
    }
}

/// Counts a try to build a snapshot.
pub(crate) fn built(end: BuildEnd) {
    counter!(BUILDS, "outcome" => end.as_str()).increment(1);
}

/// Counts a change by its outcome, and passes it on.
pub(crate) fn count<T>(
    operation: &'static str,
    result: Result<T, ControlError>,
) -> Result<T, ControlError> {
    debug_assert!(OPERATIONS.contains(&operation));
    let outcome = match &result {
        Ok(_) => "done",
        Err(ControlError::Internal(_)) => "failed",
        Err(_) => "refused",
    };
    counter!(CHANGES, "operation" => operation, "outcome" => outcome).increment(1);
    result
}
