//! `PublishVersion`.

use super::{body, unsupported};
use crate::{ApiError, validate::Violations};
use hearth_services::control::PublishVersion;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    code_sha256: Option<String>,
    description: Option<String>,
    revision_id: Option<String>,
}

/// Validates a request.
pub fn publish_version(bytes: &[u8]) -> Result<PublishVersion, ApiError> {
    let body: Body = body::parse(bytes)?;
    let mut violations = Violations::default();
    if let Some(text) = &body.description {
        violations.length(text, "description", 0, 256);
    }
    violations.finish()?;
    unsupported::refuse(bytes)?;
    Ok(PublishVersion {
        description: body.description.filter(|d| !d.is_empty()),
        if_code_sha256: body.code_sha256.filter(|c| !c.is_empty()),
        if_revision: body::revision(body.revision_id)?,
    })
}
