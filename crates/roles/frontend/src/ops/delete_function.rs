//! `DeleteFunction`.

use crate::call::Call;
use crate::reply::{self, Reply};
use hearth_lambda_api::{ApiError, Qualifier};
use hearth_types::Version;
use http::StatusCode;

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let function = call.function()?;
    let version = match &function.qualifier {
        None => None,
        Some(Qualifier::Version(Version::Latest)) => {
            return Err(ApiError::invalid(
                "$LATEST version cannot be deleted without deleting the function.",
            ));
        }
        Some(Qualifier::Version(version)) => Some(*version),
        Some(Qualifier::Alias(_)) => {
            return Err(ApiError::invalid("Deletion of aliases is not currently supported."));
        }
    };
    let name = &function.name;
    let deleted = call.shared.deps.control.delete_function(call.account(), name, version).await;
    call.shared.config.deleted(call.account(), name);
    deleted.map_err(|error| call.refused(Some(&function), error))?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
