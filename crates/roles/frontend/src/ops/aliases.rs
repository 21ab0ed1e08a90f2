//! `CreateAlias`, `GetAlias`, `UpdateAlias`, `DeleteAlias` and `ListAliases`.

use crate::call::Call;
use crate::reply::{self, Reply};
use hearth_lambda_api::{ApiError, FunctionRef, request, response};
use hearth_services::control::{Alias, ControlError};
use hearth_types::{AliasName, FunctionName};
use http::StatusCode;

pub(super) async fn create(call: &Call) -> Result<Reply, ApiError> {
    let (function, name) = function(call)?;
    let request = call.read(&(), |(), body| request::create_alias(body)).await?;
    let made = call.shared.deps.control.create_alias(call.account(), &name, request).await;
    call.shared.config.changed(call.account(), &name);
    answer(call, &function, made)
}

pub(super) async fn get(call: &Call) -> Result<Reply, ApiError> {
    let (function, name) = function(call)?;
    let alias = alias(call)?;
    let found = call.shared.deps.control.get_alias(call.account(), &name, &alias).await;
    answer(call, &function, found)
}

pub(super) async fn update(call: &Call) -> Result<Reply, ApiError> {
    let (function, name) = function(call)?;
    let alias = alias(call)?;
    let request = call.read(&(), |(), body| request::update_alias(body)).await?;
    let control = &call.shared.deps.control;
    let updated = control.update_alias(call.account(), &name, &alias, request).await;
    call.shared.config.changed(call.account(), &name);
    answer(call, &function, updated)
}

pub(super) async fn delete(call: &Call) -> Result<Reply, ApiError> {
    let (function, name) = function(call)?;
    let alias = alias(call)?;
    let deleted = call.shared.deps.control.delete_alias(call.account(), &name, &alias).await;
    call.shared.config.changed(call.account(), &name);
    deleted.map_err(|error| call.refused(Some(&function), error))?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn list(call: &Call) -> Result<Reply, ApiError> {
    let (function, name) = function(call)?;
    let (paging, version) = request::list_aliases(call.query())?;
    let control = &call.shared.deps.control;
    let page = control
        .list_aliases(call.account(), &name, version, paging.marker, paging.max_items)
        .await
        .map_err(|error| call.refused(Some(&function), error))?;
    let arn = |alias: &Alias| call.arn(&name, Some(alias.name.to_string()));
    Ok(reply::json(200, response::aliases(&page, arn)))
}

/// The function that the path names, as a whole.
fn function(call: &Call) -> Result<(FunctionRef, FunctionName), ApiError> {
    let function = call.function()?;
    let name = function.clone().unqualified()?;
    Ok((function, name))
}

fn alias(call: &Call) -> Result<AliasName, ApiError> {
    request::alias_name(&call.param("Name")?)
}

fn answer(
    call: &Call,
    function: &FunctionRef,
    alias: Result<Alias, ControlError>,
) -> Result<Reply, ApiError> {
    let alias = alias.map_err(|error| call.refused(Some(function), error))?;
    let arn = call.arn(&function.name, Some(alias.name.to_string()));
    Ok(reply::json(call.operation.success(), response::alias(&alias, &arn)))
}
