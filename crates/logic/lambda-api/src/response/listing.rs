//! `ListFunctions` and `ListVersionsByFunction`.

use super::configuration::{ArnForm, Configuration};
use bytes::Bytes;
use hearth_services::control::Page;
use hearth_types::FunctionVersion;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listing<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    functions: Option<Vec<Configuration<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    versions: Option<Vec<Configuration<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<&'a str>,
}

fn items(page: &Page<FunctionVersion>, arn: ArnForm) -> Vec<Configuration<'_>> {
    page.items.iter().map(|v| Configuration::without_status(v, arn.clone())).collect()
}

/// The body of `ListFunctions`.
pub fn functions(page: &Page<FunctionVersion>, all_versions: bool) -> Bytes {
    let arn = if all_versions { ArnForm::Qualified } else { ArnForm::Unqualified };
    super::json(&Listing {
        functions: Some(items(page, arn)),
        versions: None,
        next_marker: page.next_marker.as_deref(),
    })
}

/// The body of `ListVersionsByFunction`.
pub fn versions(page: &Page<FunctionVersion>) -> Bytes {
    super::json(&Listing {
        functions: None,
        versions: Some(items(page, ArnForm::Qualified)),
        next_marker: page.next_marker.as_deref(),
    })
}
