//! `UpdateFunctionConfiguration`.

use super::settings::RawSettings;
use super::{body, unsupported};
use crate::{ApiError, validate::Violations};
use hearth_services::control::UpdateSettings;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    revision_id: Option<String>,
}

/// Validates a request.
pub fn update_settings(bytes: &[u8]) -> Result<UpdateSettings, ApiError> {
    let body: Body = body::parse(bytes)?;
    let raw: RawSettings = body::parse(bytes)?;
    let mut violations = Violations::default();
    raw.check(&mut violations, false);
    violations.finish()?;
    unsupported::refuse(bytes)?;
    let settings = raw.validated()?;
    Ok(UpdateSettings { settings, if_revision: body::revision(body.revision_id)? })
}
