//! A manifest: where each page of a file is.

use crate::chunk::ChunkRef;
use crate::keys::SaltGeneration;
use crate::layout::pages_of;

/// What a manifest stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A file, whole.
    File,
    /// Some pages of a file, packed in the order in which they will be wanted.
    Pack,
}

/// Whose bytes a chunk of a manifest holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Stored with this file.
    Own,
    /// The parent's (or its parent's).
    Shared,
}

/// A chunk that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedChunk {
    /// The chunk.
    pub chunk: ChunkRef,
    /// Whose it is.
    pub origin: Origin,
}

/// A run of pages of the file that lie next to each other in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First page in the file.
    pub page: u32,
    /// Index of the chunk in the manifest.
    pub chunk: u32,
    /// First page in the chunk.
    pub at: u8,
    /// How many; at least 1.
    pub pages: u8,
}

impl Extent {
    /// First page of the file behind it.
    pub fn end(&self) -> u32 {
        self.page + u32::from(self.pages)
    }
}

/// Where each page of a file is; a page without a place is zero.
///
/// Extents are in the order of the file and do not overlap. Chunks are in the
/// order in which a reader of all of it wants them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    pub(crate) salt: Option<SaltGeneration>,
    pub(crate) chunks: Vec<NamedChunk>,
    pub(crate) extents: Vec<Extent>,
}

impl Manifest {
    /// What it stands for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The file's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The file's size in pages.
    pub fn pages(&self) -> u32 {
        pages_of(self.size)
    }

    /// The salt its chunks lie under, if they do.
    pub fn salt(&self) -> Option<SaltGeneration> {
        self.salt
    }

    /// Its chunks.
    pub fn chunks(&self) -> &[NamedChunk] {
        &self.chunks
    }

    /// Its extents.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The extents that end behind `page`: the first may hold it.
    pub fn extents_from(&self, page: u32) -> &[Extent] {
        &self.extents[self.extents.partition_point(|extent| extent.end() <= page)..]
    }

    /// The extent that holds `page`, or `None` if the page is zero.
    pub fn extent_of(&self, page: u32) -> Option<&Extent> {
        self.extents_from(page).first().filter(|extent| extent.page <= page)
    }
}
