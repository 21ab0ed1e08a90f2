//! The operations, one file each.

mod account_settings;
mod aliases;
mod create_function;
mod defaults;
mod delete_function;
mod get_code;
mod get_function;
mod invoke;
mod list_functions;
mod publish_version;
mod read_logs;
mod sandboxes;
mod tags;
mod update_code;
mod update_settings;

use crate::call::Call;
use crate::reply::{self, Reply};
use hearth_lambda_api::{ApiError, Operation};

/// Runs a call. It may be inside of more than one service when the client goes
/// away, so it is always run in a task of its own.
pub(crate) async fn dispatch(call: &Call) -> Result<Reply, ApiError> {
    match call.operation {
        Operation::CreateAlias => aliases::create(call).await,
        Operation::CreateFunction => create_function::run(call).await,
        Operation::DeleteAlias => aliases::delete(call).await,
        Operation::DeleteFunction => delete_function::run(call).await,
        Operation::GetAccountSettings => account_settings::run(call).await,
        Operation::GetAlias => aliases::get(call).await,
        Operation::GetFunction => get_function::run(call).await,
        Operation::GetFunctionConfiguration => get_function::configuration(call).await,
        Operation::Invoke => invoke::run(call).await,
        Operation::ListAliases => aliases::list(call).await,
        Operation::ListFunctions => list_functions::run(call).await,
        Operation::ListTags => tags::list(call).await,
        Operation::ListVersionsByFunction => list_functions::versions(call).await,
        Operation::PublishVersion => publish_version::run(call).await,
        Operation::TagResource => tags::tag(call).await,
        Operation::UntagResource => tags::untag(call).await,
        Operation::UpdateAlias => aliases::update(call).await,
        Operation::UpdateFunctionCode => update_code::run(call).await,
        Operation::UpdateFunctionConfiguration => update_settings::run(call).await,

        Operation::GetFunctionCodeSigningConfig
        | Operation::GetFunctionConcurrency
        | Operation::GetFunctionRecursionConfig
        | Operation::GetPolicy
        | Operation::GetRuntimeManagementConfig => defaults::run(call).await,

        Operation::HearthGetCode => get_code::run(call).await,
        Operation::HearthListSandboxes => sandboxes::run(call).await,
        Operation::HearthReadLogs => read_logs::run(call).await,

        other => Err(ApiError::unsupported_operation(other.name())),
    }
}

/// `GET /hearth/v1/health`: that this process serves requests.
pub(crate) fn health() -> Reply {
    reply::json(200, bytes::Bytes::from_static(br#"{"status":"ok"}"#))
}

/// `GET /hearth/v1/ready`: whether others would rather serve them.
pub(crate) fn ready(is_ready: bool) -> Reply {
    match is_ready {
        true => reply::json(200, bytes::Bytes::from_static(br#"{"status":"ready"}"#)),
        false => reply::json(503, bytes::Bytes::from_static(br#"{"status":"not ready"}"#)),
    }
}
