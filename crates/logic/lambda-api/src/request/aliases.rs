//! `CreateAlias`, `UpdateAlias` and `ListAliases`, and the name in an alias's path.

use super::paging::{Paging, paging};
use super::{body, query::query_value};
use crate::{ApiError, validate::Violations};
use hearth_services::control::{CreateAlias, UpdateAlias};
use hearth_types::{AliasName, Version, Weight};
use serde::Deserialize;
use std::collections::BTreeMap;

const DESCRIPTION_LEN_MAX: usize = 256;
/// The model's patterns, repeated in error texts.
const NAME_PATTERN: &str = "(?!^[0-9]+$)([a-zA-Z0-9-_]+)";
const VERSION_PATTERN: &str = r"(\$LATEST(\.PUBLISHED)?|[0-9]+)";

/// A second version and its share of invokes, if there is one.
type Additional = Option<(Version, Weight)>;

/// What both requests have, as it came.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    name: Option<String>,
    function_version: Option<String>,
    description: Option<String>,
    routing_config: Option<RoutingConfig>,
    revision_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoutingConfig {
    additional_version_weights: Option<BTreeMap<String, f64>>,
}

/// Validates a `CreateAlias`.
pub fn create_alias(bytes: &[u8]) -> Result<CreateAlias, ApiError> {
    let body: Body = body::parse(bytes)?;
    let mut violations = Violations::default();
    let name = match &body.name {
        Some(name) => check_name(&mut violations, name),
        None => {
            violations.missing("name");
            None
        }
    };
    if body.function_version.is_none() {
        violations.missing("functionVersion");
    }
    let version = body.version(&mut violations);
    body.check_description(&mut violations);
    let additional = body.additional(&mut violations)?;
    violations.finish()?;
    let (Some(name), Some(version)) = (name, version) else {
        return Err(ApiError::invalid("Name and FunctionVersion are mandatory."));
    };
    let description = body.description.unwrap_or_default();
    Ok(CreateAlias { name, version, description, additional: additional.flatten() })
}

/// Validates an `UpdateAlias`.
pub fn update_alias(bytes: &[u8]) -> Result<UpdateAlias, ApiError> {
    let body: Body = body::parse(bytes)?;
    let mut violations = Violations::default();
    let version = body.version(&mut violations);
    body.check_description(&mut violations);
    let additional = body.additional(&mut violations)?;
    violations.finish()?;
    Ok(UpdateAlias {
        version,
        description: body.description,
        additional,
        if_revision: body::revision(body.revision_id)?,
    })
}

/// Reads the parameters of `ListAliases`; the version is the one to list those of.
pub fn list_aliases(query: &str) -> Result<(Paging, Option<Version>), ApiError> {
    let mut violations = Violations::default();
    let text = query_value(query, "FunctionVersion").filter(|t| !t.is_empty());
    let version = text.and_then(|text| check_version(&mut violations, &text));
    violations.finish()?;
    Ok((paging(query)?, version))
}

/// The name in an alias's path.
pub fn alias_name(text: &str) -> Result<AliasName, ApiError> {
    let mut violations = Violations::default();
    let name = check_name(&mut violations, text);
    violations.finish()?;
    name.ok_or_else(|| ApiError::invalid("the alias's name is not legal"))
}

impl Body {
    fn version(&self, violations: &mut Violations) -> Option<Version> {
        check_version(violations, self.function_version.as_deref()?)
    }

    fn check_description(&self, violations: &mut Violations) {
        if let Some(text) = &self.description {
            violations.length(text, "description", 0, DESCRIPTION_LEN_MAX);
        }
    }

    /// The routing, if the request says anything of it: an empty one is none.
    fn additional(&self, violations: &mut Violations) -> Result<Option<Additional>, ApiError> {
        let Some(routing) = &self.routing_config else { return Ok(None) };
        let weights = routing.additional_version_weights.iter().flatten();
        let mut weights = weights.map(|(version, weight)| {
            let shown = format!("{{{version}={weight}}}");
            let member = "routingConfig.additionalVersionWeights";
            let parsed = version.parse().ok().filter(|v| matches!(v, Version::Published(_)));
            if parsed.is_none() {
                let text = "Map keys must satisfy constraint: [Member must have length less than \
                            or equal to 1024, Member must have length greater than or equal to 1, \
                            Member must satisfy regular expression pattern: [0-9]+]";
                violations.add(&shown, member, text);
            }
            let share = Weight::try_from(*weight).ok();
            if share.is_none() {
                let text = "Map value must satisfy constraint: [Member must have value less than \
                            or equal to 1.0, Member must have value greater than or equal to 0.0, \
                            Member must not be null]";
                violations.add(&shown, member, text);
            }
            parsed.zip(share)
        });
        let first = weights.next();
        if weights.next().is_some() {
            return Err(ApiError::invalid(
                "Number of items in AdditionalVersionWeights cannot be greater than 1",
            ));
        }
        Ok(Some(first.flatten()))
    }
}

fn check_name(violations: &mut Violations, text: &str) -> Option<AliasName> {
    violations.length(text, "name", 1, AliasName::LEN_MAX);
    let name = text.parse().ok();
    // Of a name that is too long only that is said.
    let matches = name.is_some() || text.len() > AliasName::LEN_MAX;
    violations.pattern(matches, text, "name", NAME_PATTERN);
    name
}

fn check_version(violations: &mut Violations, text: &str) -> Option<Version> {
    let version = text.parse().ok();
    violations.pattern(version.is_some(), text, "functionVersion", VERSION_PATTERN);
    version
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    #[test]
    fn what_is_named_is_read() {
        let made = create_alias(
            br#"{"Name":"live","FunctionVersion":"3","RoutingConfig":
                {"AdditionalVersionWeights":{"4":0.25}}}"#,
        )
        .unwrap();
        assert_eq!((made.name.as_str(), made.version), ("live", Version::Published(3)));
        let (additional, weight) = made.additional.unwrap();
        assert_eq!((additional, weight.get()), (Version::Published(4), 0.25));

        let nothing = update_alias(b"{}").unwrap();
        assert!(nothing.version.is_none() && nothing.additional.is_none());
        for none in ["{}", r#"{"AdditionalVersionWeights":{}}"#] {
            let body = format!(r#"{{"RoutingConfig":{none}}}"#);
            assert_eq!(update_alias(body.as_bytes()).unwrap().additional, Some(None));
        }
        assert_eq!(list_aliases("FunctionVersion=%24LATEST").unwrap().1, Some(Version::Latest));
    }

    #[test]
    fn what_breaks_the_model_is_told() {
        let cases = [
            (r#"{"FunctionVersion":"1"}"#, "Value null at 'name'"),
            (r#"{"Name":"live"}"#, "Value null at 'functionVersion'"),
            (r#"{"Name":"1","FunctionVersion":"1"}"#, "Value '1' at 'name'"),
            (r#"{"Name":"a","FunctionVersion":"b"}"#, "Value 'b' at 'functionVersion'"),
            (
                r#"{"Name":"a","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":1.5}}}"#,
                "Value '{2=1.5}' at 'routingConfig.additionalVersionWeights'",
            ),
            (
                r#"{"Name":"a","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"$LATEST":0.5}}}"#,
                "Map keys must satisfy",
            ),
        ];
        for (body, text) in cases {
            let error = create_alias(body.as_bytes()).unwrap_err();
            assert_eq!(error.code, ErrorCode::Validation, "{body}");
            assert!(error.message.contains(text), "{body}: {}", error.message);
        }
        let three = br#"{"RoutingConfig":{"AdditionalVersionWeights":{"2":0.1,"3":0.1}}}"#;
        assert_eq!(update_alias(three).unwrap_err().code, ErrorCode::InvalidParameterValue);
        assert!(alias_name("7").is_err() && alias_name(&"x".repeat(129)).is_err());
    }
}
