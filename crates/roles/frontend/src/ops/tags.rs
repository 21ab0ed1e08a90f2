//! `ListTags`, `TagResource` and `UntagResource`.

use crate::call::Call;
use crate::reply::{self, Reply};
use hearth_lambda_api::{ApiError, FunctionRef, request, response};
use hearth_types::Version;
use http::StatusCode;

/// The function that the path's ARN names; it must be the caller's own.
fn resource(call: &Call) -> Result<FunctionRef, ApiError> {
    let function = FunctionRef::parse_taggable(&call.param("Resource")?)?;
    function.check_owner(call.account(), call.operation.name())?;
    call.is_about(&function.name);
    Ok(function)
}

pub(super) async fn list(call: &Call) -> Result<Reply, ApiError> {
    let function = resource(call)?;
    let control = &call.shared.deps.control;
    let found = control.get_function(call.account(), &function.name, Version::Latest).await;
    let found = found.map_err(|error| call.refused(Some(&function), error))?;
    Ok(reply::json(200, response::tags(&found.tags)))
}

pub(super) async fn tag(call: &Call) -> Result<Reply, ApiError> {
    let function = resource(call)?;
    let tags = call.read(&(), |(), body| request::tag_resource(body)).await?;
    let tagged = call.shared.deps.control.tag(call.account(), &function.name, tags).await;
    tagged.map_err(|error| call.refused(Some(&function), error))?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn untag(call: &Call) -> Result<Reply, ApiError> {
    let function = resource(call)?;
    let keys = request::untag_resource(call.query())?;
    let untagged = call.shared.deps.control.untag(call.account(), &function.name, keys).await;
    untagged.map_err(|error| call.refused(Some(&function), error))?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
