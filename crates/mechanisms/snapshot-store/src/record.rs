//! The record of a snapshot: which files it is made of, and where it can be restored.

use hearth_chunk_store::{ManifestId, Owner};
use hearth_types::Timestamp;
use serde::{Deserialize, Serialize};

/// Changes whenever a record of before could be misread.
pub(crate) const VERSION: u32 = 1;

/// What a guest was when it was captured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What its machine was: it is restored on an equal one, or not at all.
    pub machine: String,
    /// Its memory, in MiB.
    pub memory_mib: u32,
    /// Its virtual CPUs.
    pub vcpus: u32,
    /// The images that were on its disks and still have to be, by digest: OS layer,
    /// runtime layer, the function's code.
    pub images: Vec<String>,
}

/// Everything but the contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub(crate) version: u32,
    /// What the guest was.
    pub about: About,
    /// When it was captured.
    pub created: Timestamp,
    /// Its memory.
    pub memory: ManifestId,
    /// Whose snapshot its memory shares pages with, if any.
    pub parent: Option<(Owner, ManifestId)>,
    /// Registers and devices.
    pub state: ManifestId,
    /// Its scratch disk, if anything was on it.
    pub scratch: Option<ManifestId>,
    /// The pages that its clones touch, packed, once that is known.
    pub pack: Option<ManifestId>,
    /// The same of pages that are zero.
    pub zeros: Vec<u32>,
    /// How many clones that was learnt from.
    pub recordings: u32,
}

impl Record {
    /// The files that have to stay as long as this does.
    pub(crate) fn files(&self) -> impl Iterator<Item = ManifestId> {
        [Some(self.memory), Some(self.state), self.scratch, self.pack].into_iter().flatten()
    }
}
