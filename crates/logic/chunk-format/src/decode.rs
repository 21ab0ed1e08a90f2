//! Bytes to a manifest. It takes no more memory than a few times the bytes, and
//! what it returns keeps every promise of [`Manifest`].

use crate::chunk::ChunkRef;
use crate::encode::{CHUNK_ENTRY_BYTES, EXTENT_BYTES, FIXED_BYTES};
use crate::keys::{ChunkKey, SaltGeneration};
use crate::layout::{CHUNK_PAGES, FILE_BYTES_MAX, pages_of};
use crate::manifest::{Extent, Kind, Manifest, NamedChunk, Origin};
use crate::names::ChunkName;
use std::num::NonZeroU32;

/// What is wrong with a manifest's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More or fewer bytes than its counts say.
    #[error("its length does not match its counts")]
    Length,
    /// Over [`FILE_BYTES_MAX`].
    #[error("its file is too large")]
    FileTooLarge,
    /// A chunk of no or too many pages, or of an unknown origin.
    #[error("a chunk's entry is wrong")]
    Chunk,
    /// An extent that overlaps another, is empty, or leaves its file or chunk.
    #[error("an extent is wrong")]
    Extent,
    /// The header is cut short, or is no manifest's.
    #[error("its header is wrong")]
    Header,
}

pub(crate) fn decode(kind: Kind, bytes: &[u8]) -> Result<Manifest, Malformed> {
    let (fixed, rest) = bytes.split_first_chunk::<FIXED_BYTES>().ok_or(Malformed::Length)?;
    let size = u64::from_le_bytes(array(fixed, 0));
    let salt = NonZeroU32::new(u32::from_le_bytes(array(fixed, 8))).map(SaltGeneration);
    let chunk_count = u32::from_le_bytes(array(fixed, 12)) as usize;
    let extent_count = u32::from_le_bytes(array(fixed, 16)) as usize;
    if size > FILE_BYTES_MAX {
        return Err(Malformed::FileTooLarge);
    }
    let chunk_bytes = chunk_count.checked_mul(CHUNK_ENTRY_BYTES).ok_or(Malformed::Length)?;
    let extent_bytes = extent_count.checked_mul(EXTENT_BYTES).ok_or(Malformed::Length)?;
    if chunk_bytes.checked_add(extent_bytes) != Some(rest.len()) {
        return Err(Malformed::Length);
    }
    let (chunk_bytes, extent_bytes) = rest.split_at(chunk_bytes);
    let chunks = chunk_bytes.as_chunks().0.iter().map(chunk).collect::<Result<Vec<_>, _>>()?;
    let mut extents = Vec::with_capacity(extent_count);
    let (mut behind, pages) = (0, pages_of(size));
    for entry in extent_bytes.as_chunks().0 {
        let extent = extent(entry, &chunks)?;
        if extent.page < behind || extent.end() > pages {
            return Err(Malformed::Extent);
        }
        behind = extent.end();
        extents.push(extent);
    }
    Ok(Manifest { kind, size, salt, chunks, extents })
}

fn chunk(entry: &[u8; CHUNK_ENTRY_BYTES]) -> Result<NamedChunk, Malformed> {
    let pages = entry[64];
    if !(1..=CHUNK_PAGES).contains(&usize::from(pages)) {
        return Err(Malformed::Chunk);
    }
    let origin = match entry[65] {
        0 => Origin::Own,
        1 => Origin::Shared,
        _ => return Err(Malformed::Chunk),
    };
    let name = ChunkName::from_bytes(array(entry, 0));
    let key = ChunkKey(array(entry, 32));
    Ok(NamedChunk { chunk: ChunkRef { name, key, pages }, origin })
}

/// An extent that lies within its chunk, and ends before the numbers do.
fn extent(entry: &[u8; EXTENT_BYTES], chunks: &[NamedChunk]) -> Result<Extent, Malformed> {
    let page = u32::from_le_bytes(array(entry, 0));
    let chunk = u32::from_le_bytes(array(entry, 4));
    let [at, pages] = array(entry, 8);
    let named = chunks.get(chunk as usize).ok_or(Malformed::Extent)?;
    let inside = at.checked_add(pages).is_some_and(|end| end <= named.chunk.pages);
    if pages == 0 || !inside || page.checked_add(u32::from(pages)).is_none() {
        return Err(Malformed::Extent);
    }
    Ok(Extent { page, chunk, at, pages })
}

/// `N` bytes at a place that the caller knows is there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes")
}
