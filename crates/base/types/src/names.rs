//! Function names and versions.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A function's name: 1 to 64 of `[A-Za-z0-9-_]`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionName(Box<str>);

/// The text is not a legal name.
#[derive(Debug, thiserror::Error)]
#[error("a function name is 1 to 64 letters, digits, hyphens or underscores")]
pub struct InvalidName;

impl FunctionName {
    /// Longest legal name.
    pub const LEN_MAX: usize = 64;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FunctionName {
    type Error = InvalidName;
    fn try_from(s: String) -> Result<Self, InvalidName> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if (1..=Self::LEN_MAX).contains(&s.len()) && s.bytes().all(legal) {
            Ok(Self(s.into()))
        } else {
            Err(InvalidName)
        }
    }
}

impl std::str::FromStr for FunctionName {
    type Err = InvalidName;
    fn from_str(s: &str) -> Result<Self, InvalidName> {
        s.to_owned().try_into()
    }
}

impl From<FunctionName> for String {
    fn from(n: FunctionName) -> String {
        n.0.into()
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which version of a function: the one under edit, or a published number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Version {
    /// `$LATEST`, the only one that changes.
    Latest,
    /// An immutable published version, from 1.
    Published(u64),
}

impl std::str::FromStr for Version {
    type Err = InvalidName;
    fn from_str(s: &str) -> Result<Self, InvalidName> {
        match s {
            "$LATEST" => Ok(Self::Latest),
            _ => match s.parse::<u64>() {
                Ok(n) if n > 0 && !s.starts_with(['0', '+']) => Ok(Self::Published(n)),
                _ => Err(InvalidName),
            },
        }
    }
}

impl TryFrom<String> for Version {
    type Error = InvalidName;
    fn try_from(s: String) -> Result<Self, InvalidName> {
        s.parse()
    }
}

impl From<Version> for String {
    fn from(v: Version) -> String {
        v.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("$LATEST"),
            Self::Published(n) => write!(f, "{n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_plain() {
        assert!("hello-1_X".parse::<FunctionName>().is_ok());
        for bad in ["", "a b", "a:b", "é", &"x".repeat(65)] {
            assert!(bad.parse::<FunctionName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn versions_have_one_spelling() {
        assert_eq!("$LATEST".parse::<Version>().unwrap(), Version::Latest);
        assert_eq!("12".parse::<Version>().unwrap(), Version::Published(12));
        for bad in ["0", "01", "+1", "-1", "latest", ""] {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
    }
}
