//! `TagResource` and `UntagResource`.

use super::settings::check_tags;
use super::{body, query::query_values};
use crate::{ApiError, validate::Violations};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    tags: Option<BTreeMap<String, String>>,
}

/// The tags to add or replace.
pub fn tag_resource(bytes: &[u8]) -> Result<BTreeMap<String, String>, ApiError> {
    let body: Body = body::parse(bytes)?;
    let Some(tags) = body.tags else {
        let mut violations = Violations::default();
        violations.missing("tags");
        return violations.finish().map(|()| BTreeMap::new());
    };
    if tags.is_empty() {
        return Err(ApiError::invalid("An error occurred and the request cannot be processed."));
    }
    check_tags(&tags)?;
    Ok(tags)
}

/// The keys to remove.
pub fn untag_resource(query: &str) -> Result<Vec<String>, ApiError> {
    let keys: Vec<String> = query_values(query, "tagKeys").collect();
    if keys.is_empty() {
        let mut violations = Violations::default();
        violations.missing("tagKeys");
        violations.finish()?;
    }
    Ok(keys)
}
