//! What control tells its operator.

use hearth_services::control::ControlError;
use metrics::{Unit, counter, describe_counter};

const CHANGES: &str = "hearth_control_changes_total";
const OPERATIONS: [&str; 7] = [
    "create_function",
    "update_code",
    "update_settings",
    "publish_version",
    "delete_function",
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
    for operation in OPERATIONS {
        for outcome in ["done", "refused", "failed"] {
            counter!(CHANGES, "operation" => operation, "outcome" => outcome).absolute(0);
        }
    }
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
