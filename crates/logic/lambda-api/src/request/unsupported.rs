//! Members that Hearth understands and cannot honour. Ignoring one would change
//! what the caller gets, so it is refused; a value that asks for nothing (an
//! empty list, the default) passes.

use super::body;
use crate::{ApiError, validate::Violations};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Members {
    architectures: Option<Vec<String>>,
    capacity_provider_config: Value,
    code_signing_config_arn: Option<String>,
    #[serde(deserialize_with = "nullable")]
    dead_letter_config: DeadLetterConfig,
    durable_config: Value,
    #[serde(deserialize_with = "nullable")]
    file_system_configs: Vec<Value>,
    image_config: Value,
    #[serde(rename = "KMSKeyArn")]
    kms_key_arn: Option<String>,
    #[serde(deserialize_with = "nullable")]
    layers: Vec<Value>,
    #[serde(deserialize_with = "nullable")]
    logging_config: LoggingConfig,
    package_type: Option<String>,
    publish_to: Option<String>,
    #[serde(rename = "SourceKMSKeyArn")]
    source_kms_key_arn: Option<String>,
    tenancy_config: Value,
    #[serde(deserialize_with = "nullable")]
    tracing_config: TracingConfig,
    #[serde(deserialize_with = "nullable")]
    vpc_config: VpcConfig,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DeadLetterConfig {
    target_arn: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct LoggingConfig {
    application_log_level: Option<String>,
    log_format: Option<String>,
    system_log_level: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TracingConfig {
    mode: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct VpcConfig {
    #[serde(deserialize_with = "nullable")]
    security_group_ids: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    subnet_ids: Vec<String>,
}

/// Refuses what cannot be honoured. Every control call with a body of settings
/// or code goes through here; members a call does not have are simply absent.
pub(super) fn refuse(body: &[u8]) -> Result<(), ApiError> {
    let m: Members = body::parse(body)?;
    m.check_model()?;
    let architectures = m.architectures.as_deref().unwrap_or_default();
    let refused = [
        (m.package_type.as_deref() == Some("Image"), "PackageType Image"),
        (architectures.iter().any(|a| a == "arm64"), "the arm64 architecture"),
        (asks(&m.capacity_provider_config), "CapacityProviderConfig"),
        (is_set(&m.code_signing_config_arn), "CodeSigningConfigArn"),
        (is_set(&m.dead_letter_config.target_arn), "DeadLetterConfig"),
        (asks(&m.durable_config), "DurableConfig"),
        (!m.file_system_configs.is_empty(), "FileSystemConfigs"),
        (asks(&m.image_config), "ImageConfig"),
        (is_set(&m.kms_key_arn), "KMSKeyArn"),
        (!m.layers.is_empty(), "Layers"),
        (m.logging_config.log_format.as_deref() == Some("JSON"), "LoggingConfig.LogFormat JSON"),
        (is_set(&m.logging_config.application_log_level), "LoggingConfig.ApplicationLogLevel"),
        (is_set(&m.logging_config.system_log_level), "LoggingConfig.SystemLogLevel"),
        (is_set(&m.publish_to), "PublishTo"),
        (is_set(&m.source_kms_key_arn), "SourceKMSKeyArn"),
        (asks(&m.tenancy_config), "TenancyConfig"),
        (m.tracing_config.mode.as_deref() == Some("Active"), "TracingConfig.Mode Active"),
        (
            !m.vpc_config.subnet_ids.is_empty() || !m.vpc_config.security_group_ids.is_empty(),
            "VpcConfig",
        ),
    ];
    match refused.into_iter().find(|(set, _)| *set) {
        Some((_, what)) => Err(ApiError::unsupported_value(what)),
        None => Ok(()),
    }
}

impl Members {
    /// What AWS itself would refuse in these members.
    fn check_model(&self) -> Result<(), ApiError> {
        let mut violations = Violations::default();
        let mut one_of = |value: &Option<String>, member, set: &[&str]| {
            if let Some(value) = value {
                violations.one_of(value, member, set);
            }
        };
        one_of(&self.package_type, "packageType", &["Zip", "Image"]);
        one_of(&self.tracing_config.mode, "tracingConfig.mode", &["Active", "PassThrough"]);
        one_of(&self.logging_config.log_format, "loggingConfig.logFormat", &["JSON", "Text"]);
        if let Some(list) = &self.architectures {
            let shown = format!("[{}]", list.join(", "));
            if list.len() != 1 {
                let bound = if list.is_empty() { "greater" } else { "less" };
                let text = format!("Member must have length {bound} than or equal to 1");
                violations.add(&shown, "architectures", &text);
            } else if !["x86_64", "arm64"].contains(&list[0].as_str()) {
                violations.add(
                    &shown,
                    "architectures",
                    "Member must satisfy constraint: [Member must satisfy enum value set: \
                     [x86_64, arm64], Member must not be null]",
                );
            }
        }
        violations.finish()
    }
}

/// Takes `null` for the default, as AWS does.
fn nullable<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn asks(value: &Value) -> bool {
    !value.is_null() && value.as_object().is_none_or(|members| !members.is_empty())
}

fn is_set(text: &Option<String>) -> bool {
    text.as_deref().is_some_and(|t| !t.is_empty())
}
