//! `CreateFunction`.

use crate::call::Call;
use crate::reply::{self, Reply};
use hearth_lambda_api::response::{ArnForm, Configuration};
use hearth_lambda_api::{ApiError, request, response};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let request = call
        .read(&call.caller, |caller, body| {
            request::create_function(body, &caller.account, &caller.region)
        })
        .await?;
    let name = request.name.clone();
    call.is_about(&name);
    let created = call.shared.deps.control.create_function(call.account(), request).await;
    call.shared.config.changed(call.account(), &name);
    let version = created.map_err(|error| call.refused(None, error))?;
    let body = response::json(&Configuration::of(&version, ArnForm::Unqualified));
    Ok(reply::json(call.operation.success(), body))
}
