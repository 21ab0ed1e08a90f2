//! Names of what a cluster is made of.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The text is not a legal name of a node or a zone.
#[derive(Debug, thiserror::Error)]
#[error("a name of a node or a zone is 1 to 63 small letters, digits or hyphens, none at an end")]
pub struct InvalidNodeName;

macro_rules! label_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidNodeName;
            fn try_from(s: String) -> Result<Self, InvalidNodeName> {
                if is_label(&s) { Ok(Self(s.into())) } else { Err(InvalidNodeName) }
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidNodeName;
            fn from_str(s: &str) -> Result<Self, InvalidNodeName> {
                s.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

label_newtype! {
    /// One node of a cluster: a process, by the name that its certificate has.
    NodeName
}
label_newtype! {
    /// What fails together: a room, a rack, a data centre.
    ZoneName
}

/// A label of the domain name system, so that certificates can hold it.
fn is_label(s: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&s.len()) && s.bytes().all(legal) && !s.starts_with('-') && !s.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels() {
        for good in ["a", "node-1", "1", &"x".repeat(63)] {
            assert_eq!(good.parse::<NodeName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", &"x".repeat(64)] {
            assert!(bad.parse::<ZoneName>().is_err(), "{bad}");
        }
    }
}
