//! The settings that create and update share, and their constraints.

use crate::{ApiError, validate::Violations};
use hearth_services::control::FunctionSettings;
use hearth_types::{
    ApplyOn, ENVIRONMENT_BYTES_MAX, EphemeralStorageMb, MemoryMb, Runtime, SnapStart, TAGS_MAX,
    TimeoutS,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Names that the environment inside a sandbox sets itself.
/// Source: "Defined runtime environment variables", AWS Lambda developer guide.
const RESERVED_VARIABLES: [&str; 16] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
];
const RESERVED_DIRECTORIES: [&str; 2] = ["LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"];

const HANDLER_LEN_MAX: usize = 128;
const DESCRIPTION_LEN_MAX: usize = 256;
const LOG_GROUP_LEN_MAX: usize = 512;
const TAG_KEY_LEN_MAX: usize = 128;
const TAG_VALUE_LEN_MAX: usize = 256;

/// `Environment`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Environment {
    variables: Option<BTreeMap<String, String>>,
}

/// `EphemeralStorage`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EphemeralStorage {
    size: Option<i64>,
}

/// `LoggingConfig`, the part that is kept; `unsupported` refuses the rest.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Logging {
    log_group: Option<String>,
}

/// `SnapStart`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawSnapStart {
    apply_on: Option<String>,
}

/// The members that both requests have, as they came.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawSettings {
    description: Option<String>,
    environment: Option<Environment>,
    ephemeral_storage: Option<EphemeralStorage>,
    handler: Option<String>,
    logging_config: Option<Logging>,
    memory_size: Option<i64>,
    role: Option<String>,
    runtime: Option<String>,
    snap_start: Option<RawSnapStart>,
    timeout: Option<i64>,
}

impl RawSettings {
    /// Notes violations of the model; all of them, before any is reported.
    pub(super) fn check(&self, violations: &mut Violations, role_required: bool) {
        if let Some(text) = &self.description {
            violations.length(text, "description", 0, DESCRIPTION_LEN_MAX);
        }
        if let Some(text) = &self.handler {
            violations.length(text, "handler", 0, HANDLER_LEN_MAX);
            // Nor NUL, which AWS takes: no environment variable can hold it.
            let legal = |c: char| !c.is_whitespace() && c != '\0';
            let legal = !text.is_empty() && text.chars().all(legal);
            violations.pattern(legal, text, "handler", r"[^\s]+");
        }
        match &self.role {
            Some(text) => violations.pattern(
                is_role_arn(text),
                text,
                "role",
                r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+",
            ),
            None if role_required => violations.missing("role"),
            None => {}
        }
        let range = |violations: &mut Violations, value, member, min: u32, max: u32| {
            if let Some(value) = value {
                violations.range(value, member, i64::from(min), i64::from(max));
            }
        };
        range(violations, self.memory_size, "memorySize", MemoryMb::MIN, MemoryMb::MAX);
        range(violations, self.timeout, "timeout", TimeoutS::MIN, TimeoutS::MAX);
        if let Some(storage) = &self.ephemeral_storage {
            let (min, max) = (EphemeralStorageMb::MIN, EphemeralStorageMb::MAX);
            match storage.size {
                None => violations.missing("ephemeralStorage.size"),
                size => range(violations, size, "ephemeralStorage.size", min, max),
            }
        }
        if let Some(group) = self.logging_config.as_ref().and_then(|l| l.log_group.as_ref()) {
            violations.length(group, "loggingConfig.logGroup", 1, LOG_GROUP_LEN_MAX);
            let legal = |b: u8| b.is_ascii_alphanumeric() || b".-_/#".contains(&b);
            let member = "loggingConfig.logGroup";
            violations.pattern(group.bytes().all(legal), group, member, r"[\.\-_/#A-Za-z0-9]+");
        }
        if let Some(apply_on) = self.snap_start.as_ref().and_then(|s| s.apply_on.as_ref()) {
            violations.one_of(apply_on, "snapStart.applyOn", &["PublishedVersions", "None"]);
        }
        let names = self.environment.iter().flat_map(|e| e.variables.iter().flatten());
        for (name, _) in names.filter(|(name, _)| !is_variable_name(name)) {
            violations.add(
                name,
                "environment.variables",
                "Map keys must satisfy constraint: [Member must satisfy regular expression \
                 pattern: [a-zA-Z]([a-zA-Z0-9_])+]",
            );
        }
    }

    /// The settings, once [`check`](Self::check) found nothing; what is `None`
    /// was not given.
    pub(super) fn validated(self) -> Result<FunctionSettings, ApiError> {
        let environment = self.environment.map(|e| e.variables.unwrap_or_default());
        if let Some(variables) = &environment {
            check_environment(variables)?;
        }
        let runtime = self.runtime.as_deref().map(parse_runtime).transpose()?;
        let in_range = |_| ApiError::invalid("a number is out of range");
        Ok(FunctionSettings {
            description: self.description,
            environment,
            ephemeral_storage: self
                .ephemeral_storage
                .and_then(|s| s.size)
                .map(EphemeralStorageMb::try_from)
                .transpose()
                .map_err(in_range)?,
            handler: self.handler,
            log_group: self.logging_config.and_then(|l| l.log_group),
            memory: self.memory_size.map(MemoryMb::try_from).transpose().map_err(in_range)?,
            role: self.role,
            runtime,
            snap_start: self.snap_start.and_then(|s| s.apply_on).map(|apply_on| SnapStart {
                apply_on: match apply_on.as_str() {
                    "PublishedVersions" => ApplyOn::PublishedVersions,
                    _ => ApplyOn::None,
                },
            }),
            timeout: self.timeout.map(TimeoutS::try_from).transpose().map_err(in_range)?,
        })
    }
}

fn is_role_arn(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&b);
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts[..] else { return false };
    let role = resource.strip_prefix("role").map(|r| r.strip_prefix('/').unwrap_or(r));
    (partition.is_empty() || partition.starts_with("aws"))
        && partition.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && role.is_some_and(|r| !r.is_empty() && r.bytes().all(legal))
}

fn is_variable_name(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn check_environment(variables: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let unable = "Lambda was unable to configure your environment variables because the \
                  environment variables you have provided";
    let is_reserved = |name: &&String| {
        RESERVED_VARIABLES.contains(&name.as_str()) || RESERVED_DIRECTORIES.contains(&name.as_str())
    };
    let reserved: Vec<&str> = variables.keys().filter(is_reserved).map(String::as_str).collect();
    if !reserved.is_empty() {
        return Err(ApiError::invalid(format!(
            "{unable} contains reserved keys that are currently not supported for modification. \
             Reserved keys used in this request: {}",
            reserved.join(", ")
        )));
    }
    // No value may hold a NUL: it could not be put into a process's environment.
    if variables.values().any(|v| v.contains('\0')) {
        return Err(ApiError::invalid(format!("{unable} contain a NUL character.")));
    }
    // AWS measures the variables as JSON.
    let measured = serde_json::to_string(variables).map_or(usize::MAX, |json| json.len());
    if measured > ENVIRONMENT_BYTES_MAX {
        return Err(ApiError::invalid(format!(
            "{unable} exceeded the 4KB limit. Bytes measured: {measured}"
        )));
    }
    Ok(())
}

fn parse_runtime(text: &str) -> Result<Runtime, ApiError> {
    text.parse().map_err(|_| {
        let known: Vec<&str> = Runtime::ALL.iter().map(|r| r.as_str()).collect();
        let shown: String = text.chars().take(128).collect();
        ApiError::invalid(format!(
            "Value {shown} at 'runtime' failed to satisfy constraint: Member must satisfy enum \
             value set: [{}] or be a valid ARN",
            known.join(", ")
        ))
    })
}

/// Checks tags against AWS's limits.
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > TAGS_MAX {
        return Err(ApiError::invalid("Number of tags exceeds resource tag limit."));
    }
    for (key, value) in tags {
        if !(1..=TAG_KEY_LEN_MAX).contains(&key.chars().count()) {
            return Err(ApiError::invalid("A tag key must be 1 to 128 characters long."));
        }
        if value.chars().count() > TAG_VALUE_LEN_MAX {
            return Err(ApiError::invalid("A tag value must be at most 256 characters long."));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(ApiError::invalid("Tag keys that start with 'aws:' are reserved."));
        }
    }
    Ok(())
}
