//! `UpdateFunctionCode`.

use super::body::{self, ZipFile};
use super::unsupported;
use crate::ApiError;
use hearth_services::control::UpdateCode;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    #[serde(borrow)]
    zip_file: Option<ZipFile<'a>>,
    image_uri: Option<String>,
    s3_bucket: Option<String>,
    s3_key: Option<String>,
    publish: Option<bool>,
    dry_run: Option<bool>,
    revision_id: Option<String>,
}

/// Validates a request.
pub fn update_code(bytes: &[u8]) -> Result<UpdateCode, ApiError> {
    let body: Body<'_> = body::parse(bytes)?;
    if body.image_uri.is_some() {
        return Err(ApiError::invalid(
            "Please don't provide ImageUri when updating a function with packageType Zip.",
        ));
    }
    if body.s3_bucket.is_some() || body.s3_key.is_some() {
        return Err(ApiError::unsupported_value(
            "code in S3; send it as ZipFile. S3Bucket and S3Key are not read",
        ));
    }
    unsupported::refuse(bytes)?;
    let if_revision = body::revision(body.revision_id)?;
    let zip = body
        .zip_file
        .ok_or_else(|| ApiError::invalid("Please provide a source for function code."))?
        .decode()?;
    Ok(UpdateCode {
        zip,
        publish: body.publish.unwrap_or(false),
        dry_run: body.dry_run.unwrap_or(false),
        if_revision,
    })
}
