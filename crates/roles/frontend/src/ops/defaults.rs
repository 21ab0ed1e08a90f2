//! Reads that clients make after every create, of settings that Hearth lets
//! nobody change. The answer is the one that AWS gives for a function that
//! never had them set, and so it is true.

use crate::call::Call;
use crate::reply::{self, Reply};
use hearth_lambda_api::{ApiError, ErrorCode, Operation, response};
use serde_json::json;

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let function = call.function()?;
    let found = call.found(&function).await?;
    let name = function.name.as_str();
    let arn = || match function.qualifier {
        Some(_) => found.arn_qualified(),
        None => found.arn_unqualified(),
    };
    let body = match call.operation {
        Operation::GetFunctionCodeSigningConfig => json!({ "FunctionName": name }),
        Operation::GetFunctionConcurrency => json!({}),
        Operation::GetFunctionRecursionConfig => json!({ "RecursiveLoop": "Allow" }),
        Operation::GetRuntimeManagementConfig => {
            json!({ "UpdateRuntimeOn": "Auto", "FunctionArn": arn().to_string() })
        }
        _ => {
            return Err(ApiError::new(
                ErrorCode::ResourceNotFound,
                "The resource you requested does not exist.",
            ));
        }
    };
    Ok(reply::json(200, response::json(&body)))
}
