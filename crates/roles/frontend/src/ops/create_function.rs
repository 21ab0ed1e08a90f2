//! `CreateFunction`.

use crate::call::Call;
use crate::failure;
use crate::reply::{self, Reply};
use hearth_lambda_api::response::{ArnForm, Configuration};
use hearth_lambda_api::{ApiError, request, response};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let (body, caller) = (call.body(), call.caller.clone());
    // Tens of megabytes of JSON and base64 are no work for the event loop.
    let request = tokio::task::spawn_blocking(move || {
        request::create_function(&body, &caller.account, &caller.region)
    })
    .await
    .map_err(|panic| failure::internal(call.request, "parsing a request", &panic))??;

    let name = request.name.clone();
    let created = call.shared.deps.control.create_function(call.account(), request).await;
    call.shared.config.changed(call.account(), &name);
    let version = created.map_err(|error| call.refused(None, error))?;
    let body = response::json(&Configuration::of(&version, ArnForm::Unqualified));
    Ok(reply::json(call.operation.success(), body))
}
