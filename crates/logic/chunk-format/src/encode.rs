//! A manifest to bytes.
//!
//! ```text
//!  0        8        12        16        20
//!  ├────────┼────────┼─────────┼─────────┼──────────┬───────────┐
//!  │ size   │ salt   │ chunks  │ extents │ chunk ×  │ extent ×  │   little-endian
//!  └────────┴────────┴─────────┴─────────┴──────────┴───────────┘
//!
//!  chunk    name 32 │ key 32 │ pages 1 │ origin 1      origin: 0 own, 1 shared
//!  extent   page  4 │ chunk 4 │ at 1 │ pages 1
//! ```
//!
//! A salt of 0 is none. The kind stands in the header around it.

use crate::manifest::{Manifest, Origin};

pub(crate) const FIXED_BYTES: usize = 20;
pub(crate) const CHUNK_ENTRY_BYTES: usize = 66;
pub(crate) const EXTENT_BYTES: usize = 10;

/// Counts fit: a file has at most 4 Mi pages.
pub(crate) fn encode(manifest: &Manifest) -> Vec<u8> {
    let Manifest { size, salt, chunks, extents, .. } = manifest;
    let length = FIXED_BYTES + chunks.len() * CHUNK_ENTRY_BYTES + extents.len() * EXTENT_BYTES;
    let mut out = Vec::with_capacity(length);
    out.extend(size.to_le_bytes());
    out.extend(salt.map_or(0, |generation| generation.0.get()).to_le_bytes());
    out.extend((chunks.len() as u32).to_le_bytes());
    out.extend((extents.len() as u32).to_le_bytes());
    for named in chunks {
        out.extend(named.chunk.name.as_bytes());
        out.extend(named.chunk.key.0);
        out.push(named.chunk.pages);
        out.push(match named.origin {
            Origin::Own => 0,
            Origin::Shared => 1,
        });
    }
    for extent in extents {
        out.extend(extent.page.to_le_bytes());
        out.extend(extent.chunk.to_le_bytes());
        out.extend([extent.at, extent.pages]);
    }
    debug_assert_eq!(out.len(), length);
    out
}
