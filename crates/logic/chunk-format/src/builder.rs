//! Putting a manifest together, from places in any order.

use crate::chunk::ChunkRef;
use crate::keys::SaltGeneration;
use crate::layout::{CHUNK_PAGES, FILE_BYTES_MAX, pages_of};
use crate::manifest::{Extent, Kind, Manifest, NamedChunk, Origin};
use crate::names::ChunkName;
use std::collections::HashMap;

/// A manifest in the making.
#[derive(Debug)]
pub struct ManifestBuilder {
    manifest: Manifest,
    index: HashMap<ChunkName, u32>,
}

/// What was put in is no file.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Over [`FILE_BYTES_MAX`].
    #[error("a file of {0} bytes is too large to store (at most {FILE_BYTES_MAX})")]
    TooLarge(u64),
    /// A page behind the file's end, or one that has two places.
    #[error("page {0} lies behind the file's end or has two places")]
    Page(u32),
}

impl ManifestBuilder {
    /// An empty file of that size: all zero.
    pub fn new(kind: Kind, size: u64, salt: Option<SaltGeneration>) -> Result<Self, BuildError> {
        if size > FILE_BYTES_MAX {
            return Err(BuildError::TooLarge(size));
        }
        let manifest = Manifest { kind, size, salt, chunks: Vec::new(), extents: Vec::new() };
        Ok(Self { manifest, index: HashMap::new() })
    }

    /// Adds a chunk, unless it is there; its index.
    pub fn chunk(&mut self, chunk: &ChunkRef, origin: Origin) -> u32 {
        let chunks = &mut self.manifest.chunks;
        *self.index.entry(chunk.name).or_insert_with(|| {
            chunks.push(NamedChunk { chunk: chunk.clone(), origin });
            chunks.len() as u32 - 1
        })
    }

    /// Gives pages of the file a place. `pages` is 1 to [`CHUNK_PAGES`].
    pub fn place(&mut self, extent: Extent) {
        debug_assert!((1..=CHUNK_PAGES).contains(&usize::from(extent.pages)));
        match self.manifest.extents.last_mut() {
            Some(last) if goes_on(last, &extent) => last.pages += extent.pages,
            _ => self.manifest.extents.push(extent),
        }
    }

    /// The manifest, with extents sorted and joined.
    pub fn finish(self) -> Result<Manifest, BuildError> {
        let Self { mut manifest, .. } = self;
        manifest.extents.sort_unstable_by_key(|extent| extent.page);
        let pages = pages_of(manifest.size);
        let mut joined: Vec<Extent> = Vec::with_capacity(manifest.extents.len());
        for extent in manifest.extents {
            if extent.end() > pages || joined.last().is_some_and(|l| l.end() > extent.page) {
                return Err(BuildError::Page(extent.page));
            }
            match joined.last_mut() {
                Some(last) if goes_on(last, &extent) => last.pages += extent.pages,
                _ => joined.push(extent),
            }
        }
        manifest.extents = joined;
        Ok(manifest)
    }
}

/// Whether `next` goes on where `last` ends, in the file and in the chunk. A
/// chunk has at most 128 pages, so their sum does too.
fn goes_on(last: &Extent, next: &Extent) -> bool {
    last.chunk == next.chunk && last.end() == next.page && last.at + last.pages == next.at
}
