//! Errors as users see them: AWS's wording, and nothing internal.

use hearth_code_package::PackageError;
use hearth_services::control::ControlError;

/// A failure that is ours: kept for the log, hidden from the user.
pub(crate) fn internal(error: impl std::error::Error + Send + Sync + 'static) -> ControlError {
    ControlError::Internal(Box::new(error))
}

/// The package's fault, or ours.
pub(crate) fn package(error: PackageError) -> ControlError {
    if error.is_users() {
        tracing::info!(error = &error as &dyn std::error::Error, "a code package was refused");
        ControlError::BadCode(error.to_string())
    } else {
        internal(error)
    }
}

/// The caller's `RevisionId` is not the current one.
pub(crate) fn stale_revision() -> ControlError {
    ControlError::PreconditionFailed(
        "The Revision Id provided does not match the latest Revision Id. Call the \
         GetFunction/GetAlias API to retrieve the latest Revision Id"
            .to_owned(),
    )
}
