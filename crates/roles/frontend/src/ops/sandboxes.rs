//! `GET /hearth/v1/sandboxes`: the caller's sandboxes.

use crate::call::Call;
use crate::reply::{self, Reply};
use hearth_lambda_api::{ApiError, response};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let sandboxes = call.shared.deps.assignment.list(call.account()).await;
    Ok(reply::json(200, response::json(&sandboxes)))
}
