//! The ways to name a function: `name`, `name:qualifier`, a partial ARN
//! (`123456789012:function:name`), a full ARN; each with or without qualifier.

use crate::{ApiError, ErrorCode, validate::Violations};
use hearth_types::{AccountId, FunctionName, Version};

/// The model's pattern, repeated in error texts.
const PATTERN: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?";
const PATTERN_ARN: &str = r"arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?)";
/// Longest form of a name that control calls take.
const LEN_MAX: usize = 140;
/// Longest qualifier.
const QUALIFIER_LEN_MAX: usize = 128;

/// Which version a caller means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Qualifier {
    /// A version by its number, or `$LATEST`.
    Version(Version),
    /// An alias.
    Alias(String),
}

impl std::fmt::Display for Qualifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Alias(name) => f.write_str(name),
        }
    }
}

/// A function as a caller named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionRef {
    /// The name.
    pub name: FunctionName,
    /// The owner, when the ARN says it. The caller must be that account.
    pub account: Option<AccountId>,
    /// The version or alias, when one was given.
    pub qualifier: Option<Qualifier>,
}

impl FunctionRef {
    /// Reads a `FunctionName` and a `Qualifier` parameter, which must agree if
    /// both name a version.
    pub fn parse(text: &str, qualifier: Option<&str>) -> Result<Self, ApiError> {
        let mut violations = Violations::default();
        violations.length(text, "functionName", 1, LEN_MAX);
        let parsed = parse_any(text);
        violations.pattern(parsed.is_some(), text, "functionName", PATTERN);
        if let Some(q) = qualifier {
            violations.length(q, "qualifier", 1, QUALIFIER_LEN_MAX);
            violations.pattern(
                is_qualifier(q),
                q,
                "qualifier",
                r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+",
            );
        }
        violations.finish()?;
        let parts = parsed.expect("a violation otherwise");
        let name = parts.name.parse::<FunctionName>().map_err(|_| {
            // Legal by the pattern, so only its length can be wrong.
            let mut violations = Violations::default();
            violations.length(parts.name, "functionName", 1, FunctionName::LEN_MAX);
            match violations.finish() {
                Err(error) => ApiError::invalid(error.message),
                Ok(()) => ApiError::invalid("the function name is not legal"),
            }
        })?;
        if let (Some(a), Some(b)) = (parts.qualifier, qualifier)
            && a != b
        {
            return Err(ApiError::invalid(
                "The derived qualifier from the function name does not match the specified \
                 qualifier.",
            ));
        }
        Ok(Self {
            name,
            account: parts.account.and_then(|a| a.parse().ok()),
            qualifier: qualifier.or(parts.qualifier).map(parse_qualifier),
        })
    }

    /// Reads the ARN that tag operations take: full, and of a function.
    pub fn parse_taggable(arn: &str) -> Result<Self, ApiError> {
        let parsed = parse_any(arn).filter(|parts| parts.full_arn);
        if parsed.is_none() {
            let mut violations = Violations::default();
            violations.pattern(false, arn, "resource", PATTERN_ARN);
            violations.finish()?;
        }
        let function = Self::parse(arn, None)?;
        match function.qualifier {
            None => Ok(function),
            Some(_) => Err(ApiError::invalid(
                "Tags on function aliases and versions are not supported. Please specify a \
                 function ARN.",
            )),
        }
    }

    /// Refuses a function of another account, as AWS does when no policy allows it.
    pub fn check_owner(&self, caller: &AccountId, operation: &str) -> Result<(), ApiError> {
        match &self.account {
            Some(owner) if owner != caller => Err(ApiError::new(
                ErrorCode::AccessDenied,
                format!(
                    "User: arn:aws:iam::{caller}:root is not authorized to perform: \
                     lambda:{operation} because no resource-based policy allows the \
                     lambda:{operation} action"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Refuses a qualifier: the operation is about the function as a whole.
    pub fn unqualified(self) -> Result<FunctionName, ApiError> {
        match self.qualifier {
            None | Some(Qualifier::Version(Version::Latest)) => Ok(self.name),
            Some(_) => Err(ApiError::invalid(
                "This operation is permitted on Lambda functions only. Aliases and versions do \
                 not support this operation. Please specify either a function name or an \
                 unqualified function ARN.",
            )),
        }
    }
}

struct Parts<'a> {
    full_arn: bool,
    account: Option<&'a str>,
    name: &'a str,
    qualifier: Option<&'a str>,
}

/// Takes the parts off the front one by one, as the pattern has them.
fn parse_any(text: &str) -> Option<Parts<'_>> {
    let mut rest: Vec<&str> = text.split(':').collect();
    let mut full_arn = false;
    if let ["arn", partition, "lambda", _, _, "function", _, ..] = rest[..] {
        let legal = |b: u8| b.is_ascii_alphabetic() || b == b'-';
        if !partition.starts_with("aws") || !partition.bytes().all(legal) || rest.len() > 8 {
            return None;
        }
        full_arn = true;
        rest.drain(..3);
    }
    let (before, after) = match rest.iter().position(|part| *part == "function") {
        // A function may be called "function".
        Some(at) if at + 1 < rest.len() => (&rest[..at], &rest[at + 1..]),
        _ => {
            let skip = rest.iter().take_while(|p| is_account(p)).count();
            let skip = if skip < rest.len() { skip } else { 0 };
            (&rest[..skip], &rest[skip..])
        }
    };
    let account = match before {
        [] => None,
        [region] if is_region(region) => None,
        [account] if is_account(account) => Some(*account),
        [region, account] if is_region(region) && is_account(account) => Some(*account),
        _ => return None,
    };
    let (name, qualifier) = match after {
        [name] => (*name, None),
        [name, qualifier] if is_qualifier(qualifier) => (*name, Some(*qualifier)),
        _ => return None,
    };
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (!name.is_empty() && name.bytes().all(legal) && (!full_arn || account.is_some()))
        .then_some(Parts { full_arn, account, name, qualifier })
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Wider than the model's pattern: `local` is a region too, and so is whatever
/// else looks like one.
fn is_region(text: &str) -> bool {
    (text == "local" || text.contains('-'))
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_qualifier(text: &str) -> bool {
    text == "$LATEST"
        || (!text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'))
}

fn parse_qualifier(text: &str) -> Qualifier {
    match text.parse() {
        Ok(version) => Qualifier::Version(version),
        Err(_) => Qualifier::Alias(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FunctionRef, ApiError> {
        FunctionRef::parse(text, None)
    }

    #[test]
    fn all_forms_name_the_same_function() {
        let forms = [
            "hello",
            "function:hello",
            "123456789012:hello",
            "123456789012:function:hello",
            "eu-west-1:123456789012:function:hello",
            "arn:aws:lambda:eu-west-1:123456789012:function:hello",
            "arn:aws:lambda:local:123456789012:function:hello",
        ];
        for form in forms {
            assert_eq!(parse(form).unwrap().name.as_str(), "hello", "{form}");
            assert_eq!(parse(form).unwrap().qualifier, None, "{form}");
            let qualified = parse(&format!("{form}:7")).unwrap();
            assert_eq!(qualified.name.as_str(), "hello", "{form}");
            assert_eq!(qualified.qualifier, Some(Qualifier::Version(Version::Published(7))));
        }
        assert_eq!(parse("function").unwrap().name.as_str(), "function");
        assert_eq!(parse("123456789012").unwrap().name.as_str(), "123456789012");
        assert_eq!(
            parse("hello:$LATEST").unwrap().qualifier,
            Some(Qualifier::Version(Version::Latest))
        );
        assert_eq!(parse("hello:live").unwrap().qualifier, Some(Qualifier::Alias("live".into())));
    }

    #[test]
    fn other_forms_are_validation_errors() {
        let bad = [
            "",
            "a b",
            "a/b",
            "invalid:function:name:x",
            "hello:$LATEST:1",
            "arn:aws:s3:eu-west-1:123456789012:function:hello",
            "arn:aws:lambda:eu-west-1:12345:function:hello",
            "arn:aws:lambda:eu-west-1::function:hello",
            &"x".repeat(141),
        ];
        for form in bad {
            assert_eq!(parse(form).unwrap_err().code, ErrorCode::Validation, "{form}");
        }
        assert_eq!(parse(&"x".repeat(65)).unwrap_err().code, ErrorCode::InvalidParameterValue);
    }

    #[test]
    fn qualifiers_must_agree() {
        assert!(FunctionRef::parse("hello:1", Some("1")).is_ok());
        let error = FunctionRef::parse("hello:1", Some("2")).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidParameterValue);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}", colons in "[a-z0-9:$-]{0,60}") {
            let _ = parse(&text);
            let _ = parse(&colons);
            let _ = FunctionRef::parse_taggable(&text);
        }
    }
}
