//! Where pages come from: the contract of a source, and of whoever opens them.

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Longest reference to a source: a path, or the place and key of a manifest.
pub const SOURCE_REF_BYTES_MAX: usize = 64 * 1024;

/// Names a source to the server. Only its [`Sources`] reads what is in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRef(pub Vec<u8>);

/// It may hold a key.
impl fmt::Debug for SourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceRef({} bytes)", self.0.len())
    }
}

/// A read-only file of known size.
#[async_trait]
pub trait Source: Send + Sync {
    /// Its size, in bytes.
    fn size(&self) -> u64;

    /// The `len` bytes from `offset` on, all of which are before its end. The
    /// first poll runs on a thread that serves every clone: it may use memory
    /// that is at hand, and must not block or compute for long.
    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes>;

    /// The first stretch from `offset` on that may hold anything but zeros, none
    /// if zeros follow to the end. Answers from memory.
    fn next_data(&self, offset: u64) -> Option<Range<u64>>;
}

/// Opens sources.
#[async_trait]
pub trait Sources: Send + Sync {
    /// Opens one.
    async fn open(&self, reference: &SourceRef) -> io::Result<Arc<dyn Source>>;
}
