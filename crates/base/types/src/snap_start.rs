//! `SnapStart`: whether published versions start from a snapshot.

use crate::Runtime;
use serde::{Deserialize, Serialize};

/// A function's `SnapStart` setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapStart {
    /// Which of its versions start from a snapshot.
    pub apply_on: ApplyOn,
}

/// Which versions of a function start from a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApplyOn {
    /// None of them.
    #[default]
    None,
    /// Those that are published from now on.
    PublishedVersions,
}

impl SnapStart {
    /// Whether versions that are published get a snapshot.
    pub fn is_on(self) -> bool {
        self.apply_on == ApplyOn::PublishedVersions
    }
}

impl ApplyOn {
    /// AWS's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::PublishedVersions => "PublishedVersions",
        }
    }
}

impl Runtime {
    /// Whether snapshots can be had of its functions. A clone has the state of
    /// every random generator that its original had, so each must be seeded anew
    /// before an event comes in. Of a runtime of ours we know which there are. What
    /// an OS-only runtime's binary has seeded is its own affair, so there are none
    /// of it, as in AWS.
    pub fn has_snapshots(self) -> bool {
        self != Self::ProvidedAl2023
    }
}
