//! The shapes of one operation each.

use super::configuration::{ArnForm, Configuration};
use bytes::Bytes;
use hearth_services::control::{AccountUsage, FunctionWithTags};
use hearth_types::{
    ACCOUNT_CODE_BYTES_MAX, ACCOUNT_CONCURRENCY_MAX, CODE_UNZIPPED_BYTES_MAX, CODE_ZIP_BYTES_MAX,
};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetFunction<'a> {
    configuration: Configuration<'a>,
    code: Code<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Code<'a> {
    repository_type: &'static str,
    location: &'a str,
}

/// The body of `GetFunction`; `location` is where the zip can be had.
pub fn get_function(function: &FunctionWithTags, arn: ArnForm, location: &str) -> Bytes {
    super::json(&GetFunction {
        configuration: Configuration::of(&function.version, arn),
        code: Code { repository_type: "S3", location },
        tags: &function.tags,
    })
}

/// The body of `GetAccountSettings`.
pub fn account_settings(usage: AccountUsage) -> Bytes {
    super::json(&json!({
        "AccountLimit": {
            "TotalCodeSize": ACCOUNT_CODE_BYTES_MAX,
            "CodeSizeUnzipped": CODE_UNZIPPED_BYTES_MAX,
            "CodeSizeZipped": CODE_ZIP_BYTES_MAX,
            "ConcurrentExecutions": ACCOUNT_CONCURRENCY_MAX,
            "UnreservedConcurrentExecutions": ACCOUNT_CONCURRENCY_MAX,
        },
        "AccountUsage": { "TotalCodeSize": usage.code_bytes, "FunctionCount": usage.functions },
    }))
}

/// The body of `ListTags`.
pub fn tags(tags: &BTreeMap<String, String>) -> Bytes {
    super::json(&json!({ "Tags": tags }))
}
