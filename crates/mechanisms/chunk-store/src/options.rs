//! How large the levels are, and how patient the store is.

use std::path::PathBuf;
use std::time::Duration;

/// A chunk store's settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most bytes of opened chunks in memory.
    pub memory_bytes: u64,
    /// The cache on disk. None where the origin is a local folder: it would only
    /// hold everything twice.
    pub disk: Option<DiskOptions>,
    /// How long an object at the origin is safe from a collection after it was
    /// written, and how long a manifest counts as a root: longer than any caller
    /// takes from writing a file to naming it among the roots.
    pub grace: Duration,
    /// Other processes store there too, and collect ([`ChunkStore::collect_among`]).
    ///
    /// [`ChunkStore::collect_among`]: crate::ChunkStore::collect_among
    pub is_shared: bool,
    /// Longest wait for one answer of the origin; a few tries follow.
    pub origin_wait: Duration,
}

/// The cache on disk.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// A directory of its own, made if missing.
    pub dir: PathBuf,
    /// Most bytes in it.
    pub bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            disk: None,
            grace: Duration::from_secs(3600),
            is_shared: false,
            origin_wait: Duration::from_secs(10),
        }
    }
}
