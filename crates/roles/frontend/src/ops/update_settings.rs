//! `UpdateFunctionConfiguration`.

use crate::call::Call;
use crate::reply::{self, Reply};
use hearth_lambda_api::response::{ArnForm, Configuration};
use hearth_lambda_api::{ApiError, request, response};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let function = call.function()?;
    let name = function.clone().unqualified()?;
    let request = call.read(&(), |(), body| request::update_settings(body)).await?;
    let updated = call.shared.deps.control.update_settings(call.account(), &name, request).await;
    call.shared.config.changed(call.account(), &name);
    let version = updated.map_err(|error| call.refused(Some(&function), error))?;
    Ok(reply::json(200, response::json(&Configuration::of(&version, ArnForm::Unqualified))))
}
