//! `ListFunctions` and `ListVersionsByFunction`.

use crate::call::Call;
use crate::reply::{self, Reply};
use hearth_lambda_api::{ApiError, request, response};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let (paging, all_versions) = request::list_functions(call.query())?;
    let control = &call.shared.deps.control;
    let page = control
        .list_functions(call.account(), all_versions, paging.marker, paging.max_items)
        .await
        .map_err(|error| call.refused(None, error))?;
    Ok(reply::json(200, response::functions(&page, all_versions)))
}

pub(super) async fn versions(call: &Call) -> Result<Reply, ApiError> {
    let function = call.function()?;
    let paging = request::paging(call.query())?;
    let control = &call.shared.deps.control;
    let page = control
        .list_versions(call.account(), &function.name, paging.marker, paging.max_items)
        .await
        .map_err(|error| call.refused(Some(&function), error))?;
    Ok(reply::json(200, response::versions(&page)))
}
