//! Whose a file is: it decides under which keys its chunks and manifest lie.

use hearth_types::AccountId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest id of a layer: the digest of an image, with a word before it.
const LAYER_ID_BYTES_MAX: usize = 96;

/// The owner of a stored file.
///
/// | owner | chunks lie under | manifest lies under | equal chunks are shared by |
/// |---|---|---|---|
/// | `Layer` | the layer's key | the layer's key | every function on the layer |
/// | `Account` | the account's key | the account's key | the account's own files |
/// | `Unknown` | the salt of the day | the account's key | whoever has the same bytes |
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Owner {
    /// An OS or runtime layer.
    Layer(LayerId),
    /// An account: its functions' memory and overlays.
    Account(AccountId),
    /// A file that this account brought from somewhere: a zip, a container image.
    Unknown(AccountId),
}

/// The id of an OS or runtime layer: up to 96 of `a-z 0-9 . _ -`, starting with
/// a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId(Box<str>);

/// The text names no owner.
#[derive(Debug, thiserror::Error)]
#[error("an owner is layer/ID, account/ID or unknown/ID")]
pub struct InvalidOwner;

impl FromStr for LayerId {
    type Err = InvalidOwner;
    fn from_str(s: &str) -> Result<Self, InvalidOwner> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let legal = s.len() <= LAYER_ID_BYTES_MAX
            && s.bytes().next().is_some_and(plain)
            && s.bytes().all(|b| plain(b) || b"._-".contains(&b));
        if legal { Ok(Self(s.into())) } else { Err(InvalidOwner) }
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(id) => write!(f, "layer/{id}"),
            Self::Account(id) => write!(f, "account/{id}"),
            Self::Unknown(id) => write!(f, "unknown/{id}"),
        }
    }
}

impl FromStr for Owner {
    type Err = InvalidOwner;
    fn from_str(s: &str) -> Result<Self, InvalidOwner> {
        let account = |id: &str| id.parse::<AccountId>().map_err(|_| InvalidOwner);
        match s.split_once('/').ok_or(InvalidOwner)? {
            ("layer", id) => Ok(Self::Layer(id.parse()?)),
            ("account", id) => Ok(Self::Account(account(id)?)),
            ("unknown", id) => Ok(Self::Unknown(account(id)?)),
            _ => Err(InvalidOwner),
        }
    }
}

impl TryFrom<String> for Owner {
    type Error = InvalidOwner;
    fn try_from(s: String) -> Result<Self, InvalidOwner> {
        s.parse()
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> String {
        owner.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_their_text() {
        for text in ["layer/python3.13-0af2", "account/000000000001", "unknown/123456789012"] {
            let owner: Owner = text.parse().unwrap();
            assert_eq!(owner.to_string(), text);
        }
        for text in ["layer/", "layer/../x", "layer/.x", "layer/A", "account/1", "x/1", "layer"] {
            assert!(text.parse::<Owner>().is_err(), "{text}");
        }
    }
}
