//! `FunctionConfiguration`, the shape that most operations answer with.

use hearth_types::{
    FunctionArn, FunctionVersion, LastUpdateStatus, State, StateReasonCode, Version,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Which ARN a response carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArnForm {
    /// The function's.
    Unqualified,
    /// The version's.
    Qualified,
    /// An alias's of the version.
    Alias(String),
}

/// The shape. Members that Hearth has no use for carry the one value that is
/// true here; optional ones are left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Configuration<'a> {
    function_name: &'a str,
    function_arn: String,
    runtime: &'static str,
    role: &'a str,
    handler: &'a str,
    code_size: u64,
    description: &'a str,
    timeout: u32,
    memory_size: u32,
    last_modified: String,
    code_sha256: &'a str,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<Environment<'a>>,
    tracing_config: TracingConfig,
    revision_id: String,
    #[serde(flatten)]
    status: Option<Status<'a>>,
    package_type: &'static str,
    architectures: [&'static str; 1],
    ephemeral_storage: EphemeralStorage,
    snap_start: SnapStart,
    logging_config: LoggingConfig<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Status<'a> {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_update_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_update_status_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_update_status_reason_code: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Environment<'a> {
    variables: &'a BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TracingConfig {
    mode: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct EphemeralStorage {
    size: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SnapStart {
    apply_on: &'static str,
    optimization_status: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LoggingConfig<'a> {
    log_format: &'static str,
    log_group: &'a str,
}

impl<'a> Configuration<'a> {
    /// The full shape.
    pub fn of(version: &'a FunctionVersion, arn: ArnForm) -> Self {
        Self { status: Some(Status::of(version)), ..Self::without_status(version, arn) }
    }

    /// The shape that listings carry: they leave the states out, as AWS does.
    pub fn without_status(v: &'a FunctionVersion, arn: ArnForm) -> Self {
        Self {
            function_name: v.key.function.as_str(),
            function_arn: match arn {
                ArnForm::Unqualified => v.arn_unqualified().to_string(),
                ArnForm::Qualified => v.arn_qualified().to_string(),
                ArnForm::Alias(alias) => {
                    FunctionArn { qualifier: Some(alias), ..v.arn_unqualified() }.to_string()
                }
            },
            runtime: v.runtime.as_str(),
            role: &v.role,
            handler: &v.handler,
            code_size: v.code.zip_bytes,
            description: &v.description,
            timeout: v.timeout.get(),
            memory_size: v.memory.get(),
            last_modified: v.last_modified.to_string(),
            code_sha256: &v.code.zip_sha256_base64,
            version: v.key.version.to_string(),
            environment: (!v.environment.is_empty())
                .then_some(Environment { variables: &v.environment }),
            tracing_config: TracingConfig { mode: "PassThrough" },
            revision_id: v.key.revision.to_string(),
            status: None,
            package_type: "Zip",
            architectures: ["x86_64"],
            ephemeral_storage: EphemeralStorage { size: v.ephemeral_storage.get() },
            snap_start: SnapStart::of(v),
            logging_config: LoggingConfig { log_format: "Text", log_group: &v.logging.log_group },
        }
    }
}

impl SnapStart {
    fn of(v: &FunctionVersion) -> Self {
        let ready = v.state == State::Active && v.snapshot.is_some();
        Self {
            apply_on: v.snap_start.apply_on.as_str(),
            optimization_status: if ready { "On" } else { "Off" },
        }
    }
}

impl<'a> Status<'a> {
    fn of(v: &'a FunctionVersion) -> Self {
        let creating = Some("The function is being created.");
        let (state, default_reason, default_code) = match v.state {
            State::Pending => ("Pending", creating, Some(StateReasonCode::Creating)),
            State::Active => ("Active", None, None),
            State::Inactive => {
                ("Inactive", Some("The function is idle."), Some(StateReasonCode::Idle))
            }
            State::Failed => ("Failed", None, Some(StateReasonCode::InternalError)),
        };
        let code = v.state_reason_code.or(default_code).map(StateReasonCode::as_str);
        let (update, default_update_reason, update_code) = match v.last_update_status {
            LastUpdateStatus::Successful => ("Successful", None, None),
            LastUpdateStatus::Failed if v.state == State::Failed => ("Failed", None, code),
            LastUpdateStatus::Failed => {
                ("Failed", None, Some(StateReasonCode::InternalError.as_str()))
            }
            LastUpdateStatus::InProgress => {
                ("InProgress", creating, Some(StateReasonCode::Creating.as_str()))
            }
        };
        // A function that is being created has had no update yet. Publishing is an
        // update, though: Terraform waits for its end by this member alone.
        let created = v.state != State::Pending || v.key.version != Version::Latest;
        Self {
            state,
            state_reason: v.state_reason.as_deref().or(default_reason),
            state_reason_code: code,
            last_update_status: created.then_some(update),
            last_update_status_reason: created
                .then(|| v.last_update_reason.as_deref().or(default_update_reason))
                .flatten(),
            last_update_status_reason_code: created.then_some(update_code).flatten(),
        }
    }
}
