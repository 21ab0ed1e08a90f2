//! `GET /hearth/v1/functions/NAME/logs?from=N`: a piece of a function's log.

use crate::call::Call;
use crate::failure;
use crate::reply::{self, Reply};
use hearth_lambda_api::{ApiError, request, response};
use hearth_types::Version;

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let function = call.function()?;
    let from = match request::query_value(call.query(), "from") {
        None => 0,
        Some(text) => {
            text.parse().map_err(|_| ApiError::invalid("from must be a position in the log"))?
        }
    };
    let name = &function.name;
    let exists = call.shared.config.version(call.account(), name, Version::Latest).await;
    if exists.map_err(|error| failure::read(call.request, error))?.is_none() {
        return Err(ApiError::function_not_found(call.arn(name, None)));
    }
    let chunk = call.shared.deps.logs.read(call.account(), name, from).await;
    let chunk = chunk.map_err(|error| failure::internal(call.request, "reading a log", &error))?;
    Ok(reply::json(200, response::json(&chunk)))
}
