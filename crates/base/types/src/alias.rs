//! Aliases: names for versions, as callers use them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An alias's name: 1 to 128 of `[A-Za-z0-9-_]`, and not digits alone, so that it is
/// never taken for a version.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AliasName(Box<str>);

/// The text is not a legal name.
#[derive(Debug, thiserror::Error)]
#[error("an alias is 1 to 128 letters, digits, hyphens or underscores, and not digits alone")]
pub struct InvalidAlias;

impl AliasName {
    /// Longest legal name.
    pub const LEN_MAX: usize = 128;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AliasName {
    type Error = InvalidAlias;
    fn try_from(s: String) -> Result<Self, InvalidAlias> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let name = (1..=Self::LEN_MAX).contains(&s.len()) && s.bytes().all(legal);
        if name && !s.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(s.into()))
        } else {
            Err(InvalidAlias)
        }
    }
}

impl std::str::FromStr for AliasName {
    type Err = InvalidAlias;
    fn from_str(s: &str) -> Result<Self, InvalidAlias> {
        s.to_owned().try_into()
    }
}

impl From<AliasName> for String {
    fn from(n: AliasName) -> String {
        n.0.into()
    }
}

/// What is kept under names can be looked up by text that may be none.
impl std::borrow::Borrow<str> for AliasName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AliasName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AliasName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A share of invokes, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Weight(f64);

/// The number is no share.
#[derive(Debug, thiserror::Error)]
#[error("a weight is a number from 0 to 1")]
pub struct InvalidWeight;

impl Weight {
    /// The share.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Whether it falls on this invoke, of which `chance` is the randomness.
    pub fn takes(self, chance: u64) -> bool {
        // The 53 bits that a double holds, as a number from 0 to just below 1.
        ((chance >> 11) as f64 / (1u64 << 53) as f64) < self.0
    }
}

impl TryFrom<f64> for Weight {
    type Error = InvalidWeight;
    fn try_from(share: f64) -> Result<Self, InvalidWeight> {
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(InvalidWeight) }
    }
}

impl From<Weight> for f64 {
    fn from(w: Weight) -> f64 {
        w.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_no_versions() {
        for good in ["live", "1a", "-", "_", "A-b_3", &"x".repeat(128)] {
            assert!(good.parse::<AliasName>().is_ok(), "{good:?}");
        }
        for bad in ["", "1", "007", "a b", "a:b", "$LATEST", "é", &"x".repeat(129)] {
            assert!(bad.parse::<AliasName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_weight_is_a_share_of_all_chances() {
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Weight::try_from(bad).is_err(), "{bad}");
        }
        let takes = |share, chance| Weight::try_from(share).unwrap().takes(chance);
        for chance in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(!takes(0.0, chance) && takes(1.0, chance), "{chance}");
        }
        let quarter = u64::MAX / 4;
        assert!(takes(0.25, quarter - quarter / 1_000) && !takes(0.25, quarter + quarter / 1_000));
    }
}
