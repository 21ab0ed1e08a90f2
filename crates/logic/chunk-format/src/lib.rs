//! The format of Hearth's chunks: how a file becomes sealed chunks and a sealed
//! manifest, and how these become the file again. Pure: bytes in, bytes out.
//!
//! ```text
//!  file      ├─page─┼─page─┼─page─┤   hole   ├─page─┼─page─┤      4 KiB pages
//!                \      |     /                  |     /
//!  manifest   extent: pages 0–2 ─► chunk 0      extent ─► chunk 1
//!                       |                             |
//!  chunks     seal(pages, key = hash(pages))     the parent's, shared
//!                       |
//!  names      BLAKE3 of the sealed bytes: checked on every read
//! ```
//!
//! - [`seal_chunk`], [`open_chunk`]: convergent encryption under an owner's secret.
//! - [`Cuts`]: where chunks of a file of unknown origin end.
//! - [`Manifest`], built by [`ManifestBuilder`]: which page is where.
//! - [`seal_manifest`], [`open_manifest`]: the manifest at rest, for its owner alone.
//! - [`Owner`] and [`OwnerKey`]: whose key that is.
//!
//! Bytes from a store are hostile until they are opened, and still decoded with
//! bounds afterwards.
#![forbid(unsafe_code)]

mod builder;
mod chunk;
mod cut;
mod decode;
mod encode;
mod keys;
mod layout;
mod manifest;
mod names;
mod owner;
mod seal;

pub use builder::{BuildError, ManifestBuilder};
pub use chunk::{ChunkError, ChunkRef, check_name, open_chunk, reseal_chunk, seal_chunk};
pub use cut::Cuts;
pub use decode::Malformed;
pub use keys::{ChunkKey, ChunkSecret, ManifestKey, OwnerKey, SaltGeneration};
pub use layout::{
    CHUNK_BYTES, CHUNK_PAGES, FILE_BYTES_MAX, MANIFEST_BYTES_MAX, PAGE_BYTES, SEALED_EXTRA_BYTES,
    pages_of,
};
pub use manifest::{Extent, Kind, Manifest, NamedChunk, Origin};
pub use names::{ChunkName, InvalidHash, ManifestId};
pub use owner::{InvalidOwner, LayerId, Owner};
pub use seal::{ManifestError, manifest_owner, open_manifest, seal_manifest};
