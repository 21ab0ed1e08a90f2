//! `StateReasonCode`: why a version is not active, in a word for programs.

use serde::{Deserialize, Serialize};

/// AWS's codes, as far as Hearth has a use for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateReasonCode {
    /// It was not used for long.
    Idle,
    /// It is being made.
    Creating,
    /// The function's own code failed to initialise.
    FunctionError,
    /// There was no room to initialise it in.
    InsufficientCapacity,
    /// Hearth failed.
    InternalError,
}

impl StateReasonCode {
    /// AWS's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Creating => "Creating",
            Self::FunctionError => "FunctionError",
            Self::InsufficientCapacity => "InsufficientCapacity",
            Self::InternalError => "InternalError",
        }
    }
}
