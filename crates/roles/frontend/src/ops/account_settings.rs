//! `GetAccountSettings`.

use crate::call::Call;
use crate::reply::{self, Reply};
use hearth_lambda_api::{ApiError, response};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let usage = call.shared.deps.control.account_usage(call.account()).await;
    let usage = usage.map_err(|error| call.refused(None, error))?;
    Ok(reply::json(200, response::account_settings(usage)))
}
