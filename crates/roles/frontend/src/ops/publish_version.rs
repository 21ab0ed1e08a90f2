//! `PublishVersion`.

use crate::call::Call;
use crate::reply::{self, Reply};
use hearth_lambda_api::response::{ArnForm, Configuration};
use hearth_lambda_api::{ApiError, request, response};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let function = call.function()?;
    let name = function.clone().unqualified()?;
    let request = call.read(&(), |(), body| request::publish_version(body)).await?;
    let published = call.shared.deps.control.publish_version(call.account(), &name, request).await;
    call.shared.config.changed(call.account(), &name);
    let version = published.map_err(|error| call.refused(Some(&function), error))?;
    let body = response::json(&Configuration::of(&version, ArnForm::Qualified));
    Ok(reply::json(call.operation.success(), body))
}
