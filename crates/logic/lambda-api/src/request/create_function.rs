//! `CreateFunction`.

use super::body::{self, ZipFile};
use super::settings::{RawSettings, check_tags};
use super::unsupported;
use crate::{ApiError, FunctionRef, validate::Violations};
use hearth_services::control::CreateFunction;
use hearth_types::AccountId;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    function_name: Option<String>,
    #[serde(borrow)]
    code: Option<Code<'a>>,
    tags: Option<BTreeMap<String, String>>,
    publish: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Code<'a> {
    #[serde(borrow)]
    zip_file: Option<ZipFile<'a>>,
    image_uri: Option<String>,
    s3_bucket: Option<String>,
    s3_key: Option<String>,
    #[serde(rename = "SourceKMSKeyArn")]
    source_kms_key_arn: Option<String>,
}

/// Validates a request of `caller` for `region`.
pub fn create_function(
    bytes: &[u8],
    caller: &AccountId,
    region: &str,
) -> Result<CreateFunction, ApiError> {
    let body: Body<'_> = body::parse(bytes)?;
    let raw: RawSettings = body::parse(bytes)?;
    let mut violations = Violations::default();
    if body.function_name.is_none() {
        violations.missing("functionName");
    }
    if body.code.is_none() {
        violations.missing("code");
    }
    raw.check(&mut violations, true);
    violations.finish()?;

    let function = FunctionRef::parse(body.function_name.as_deref().unwrap_or_default(), None)?;
    function.check_owner(caller, "CreateFunction")?;
    let name = function.unqualified()?;
    unsupported::refuse(bytes)?;
    let mut settings = raw.validated()?;
    let (Some(runtime), Some(handler)) = (settings.runtime.take(), settings.handler.take()) else {
        return Err(ApiError::invalid(
            "Runtime and Handler are mandatory parameters for functions created with deployment \
             packages.",
        ));
    };
    let tags = body.tags.unwrap_or_default();
    check_tags(&tags)?;
    let zip = body.code.map_or_else(|| Err(no_code()), Code::zip)?;
    Ok(CreateFunction {
        name,
        region: region.to_owned(),
        runtime,
        handler,
        settings,
        zip,
        tags,
        publish: body.publish.unwrap_or(false),
    })
}

impl Code<'_> {
    fn zip(self) -> Result<bytes::Bytes, ApiError> {
        if self.image_uri.is_some() {
            return Err(ApiError::unsupported_value("Code.ImageUri"));
        }
        if self.s3_bucket.is_some() || self.s3_key.is_some() {
            return Err(ApiError::unsupported_value(
                "code in S3; send it as Code.ZipFile. S3Bucket and S3Key are not read",
            ));
        }
        if self.source_kms_key_arn.is_some_and(|arn| !arn.is_empty()) {
            return Err(ApiError::unsupported_value("Code.SourceKMSKeyArn"));
        }
        self.zip_file.ok_or_else(no_code)?.decode()
    }
}

fn no_code() -> ApiError {
    ApiError::invalid("Please provide a source for function code.")
}
