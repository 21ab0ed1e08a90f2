//! The runtimes that functions may name.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A language runtime, served by an image layer of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Runtime {
    /// Python 3.13 with AWS's `awslambdaric`.
    #[serde(rename = "python3.13")]
    Python313,
    /// Node.js 22 with a runtime interface client.
    #[serde(rename = "nodejs22.x")]
    NodeJs22,
    /// Java 21 with a runtime of Hearth's own.
    #[serde(rename = "java21")]
    Java21,
    /// Any executable named `bootstrap` that speaks the Runtime API.
    #[serde(rename = "provided.al2023")]
    ProvidedAl2023,
}

/// No such runtime here.
#[derive(Debug, thiserror::Error)]
#[error("unknown runtime")]
pub struct UnknownRuntime;

impl Runtime {
    /// Every runtime, in the order in which docs and errors list them.
    pub const ALL: [Runtime; 4] =
        [Self::Java21, Self::NodeJs22, Self::ProvidedAl2023, Self::Python313];

    /// AWS's identifier.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Python313 => "python3.13",
            Self::NodeJs22 => "nodejs22.x",
            Self::Java21 => "java21",
            Self::ProvidedAl2023 => "provided.al2023",
        }
    }
}

impl std::str::FromStr for Runtime {
    type Err = UnknownRuntime;
    fn from_str(s: &str) -> Result<Self, UnknownRuntime> {
        Self::ALL.into_iter().find(|r| r.as_str() == s).ok_or(UnknownRuntime)
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
