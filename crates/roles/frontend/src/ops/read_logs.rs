//! `GET /hearth/v1/functions/NAME/logs?from=POSITION`: a piece of a function's log.

use crate::call::Call;
use crate::failure;
use crate::reply::{self, Reply};
use hearth_lambda_api::{ApiError, request, response};
use hearth_services::logs::LogError;
use hearth_types::Version;

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let function = call.function()?;
    let from = request::query_value(call.query(), "from").unwrap_or_default();
    let name = &function.name;
    let exists = call.shared.config.version(call.account(), name, Version::Latest).await;
    if exists.map_err(|error| failure::read(call.request, error))?.is_none() {
        return Err(ApiError::function_not_found(call.arn(name, None)));
    }
    let page = call.shared.deps.logs.page(call.account(), name, &from).await;
    let page = page.map_err(|error| match error {
        LogError::Position => ApiError::invalid(error.to_string()),
        LogError::Read(error) => failure::internal(call.request, "reading a log", &error),
    })?;
    Ok(reply::json(200, response::json(&page)))
}
