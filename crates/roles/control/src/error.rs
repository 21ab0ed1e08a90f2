//! Errors as users see them: AWS's wording, and nothing internal.

use hearth_code_package::PackageError;
use hearth_services::control::ControlError;
use hearth_types::{AccountId, FunctionArn, FunctionName, Version};

/// The region in messages about functions that do not exist, whose region
/// nobody knows.
const UNKNOWN_REGION: &str = "local";

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

/// There is no such function.
pub(crate) fn function_not_found(account: &AccountId, name: &FunctionName) -> ControlError {
    ControlError::FunctionNotFound(arn(account, name, None))
}

/// There is no such version of an existing function.
pub(crate) fn version_not_found(
    account: &AccountId,
    name: &FunctionName,
    version: Version,
) -> ControlError {
    ControlError::VersionNotFound(arn(account, name, Some(version)))
}

/// Others changed the function each time this call was about to.
pub(crate) fn contended(account: &AccountId, name: &FunctionName) -> ControlError {
    ControlError::Conflict(format!(
        "The operation cannot be performed at this time. An update is in progress for resource: {}",
        arn(account, name, None)
    ))
}

/// The caller's `RevisionId` is not the current one.
pub(crate) fn stale_revision() -> ControlError {
    ControlError::PreconditionFailed(
        "The Revision Id provided does not match the latest Revision Id. Call the \
         GetFunction/GetAlias API to retrieve the latest Revision Id"
            .to_owned(),
    )
}

fn arn(account: &AccountId, name: &FunctionName, version: Option<Version>) -> String {
    FunctionArn {
        region: UNKNOWN_REGION.to_owned(),
        account: account.clone(),
        name: name.clone(),
        qualifier: version.map(|v| v.to_string()),
    }
    .to_string()
}
