//! `GetFunction` and `GetFunctionConfiguration`.

use crate::call::Call;
use crate::options::CODE_LINK_EXPIRES_S;
use crate::reply::{self, Reply};
use hearth_lambda_api::response::{ArnForm, Configuration};
use hearth_lambda_api::{ApiError, Qualifier, response};
use hearth_services::control::FunctionWithTags;
use hearth_sigv4::{Presign, presign};
use hearth_types::Timestamp;
use http::HeaderValue;

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let (found, arn) = find(call).await?;
    let location = code_link(call, &found);
    Ok(reply::json(200, response::get_function(&found, arn, &location)))
}

pub(super) async fn configuration(call: &Call) -> Result<Reply, ApiError> {
    let (found, arn) = find(call).await?;
    Ok(reply::json(200, response::json(&Configuration::of(&found.version, arn))))
}

/// The version asked for; its ARN is qualified if the question was.
async fn find(call: &Call) -> Result<(FunctionWithTags, ArnForm), ApiError> {
    let function = call.function()?;
    let version = call.version_of(&function).await?;
    let name = &function.name;
    let found = call.shared.deps.control.get_function(call.account(), name, version).await;
    let found = found.map_err(|error| call.refused(Some(&function), error))?;
    let arn = match function.qualifier {
        None => ArnForm::Unqualified,
        Some(Qualifier::Version(_)) => ArnForm::Qualified,
        Some(Qualifier::Alias(alias)) => ArnForm::Alias(alias),
    };
    Ok((found, arn))
}

/// A presigned link to the zip, at the address that the caller used.
fn code_link(call: &Call, found: &FunctionWithTags) -> String {
    let unknown = HeaderValue::from_static("localhost");
    let host = call.parts.headers.get(http::header::HOST).unwrap_or(&unknown);
    let key = &found.version.key;
    let version = key.version.to_string().replace('$', "%24");
    let link = Presign {
        host,
        path: &format!("/hearth/v1/functions/{}/code", key.function),
        query: &format!("Qualifier={version}"),
        access_key: &call.caller.access_key,
        region: &call.caller.region,
        expires_s: CODE_LINK_EXPIRES_S,
    };
    let path = presign(link, &call.caller.key.secret, Timestamp::now());
    format!("http://{}{path}", host.to_str().unwrap_or("localhost"))
}
