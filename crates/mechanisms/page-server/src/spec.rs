//! What a client asks for.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest that a read waits for a source: a chunk from far away that is slow
/// and tried again takes less.
const SOURCE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest that a read waits for its file to be bound. A VMM that was made ready
/// ahead touches no memory before it is told to.
const BIND_WAIT_MAX: Duration = Duration::from_secs(30);

/// A file: an inode's number, never used again by the same server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CloneId(pub u64);

/// A file to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSpec {
    /// Its size in bytes: whole pages. Beyond its source's end it holds zeros.
    pub size: u64,
    /// Whether it can be written. What is written goes with the file.
    pub writable: bool,
    /// Who may open it, besides root: a user, or whoever comes to it. The
    /// directories above let only root pass, so that is who root gives it to.
    pub uid: Option<u32>,
    /// How it is read.
    pub access: Access,
}

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Mapped, through the kernel's cache of this file alone: memory.
    Mapped,
    /// With the calls of who has it open, in the sizes they ask for, and kept by
    /// nobody here: a disk, which its guest has a cache of.
    Direct,
}

/// How long reads wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// For a source.
    pub source: Duration,
    /// For a bind.
    pub bind: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self { source: SOURCE_WAIT_MAX, bind: BIND_WAIT_MAX }
    }
}
