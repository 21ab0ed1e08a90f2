//! What is counted for each file.

use serde::{Deserialize, Serialize};

/// What happened to a file so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStats {
    /// Requests that the server got: the kernel asks once for a page, and again
    /// only if it has dropped it.
    pub requests: u64,
    /// Pages in those requests.
    pub pages: u64,
    /// Of them, zeros that nothing was fetched for.
    pub zero_pages: u64,
    /// Of them, fetched from the source: misses of what was fetched ahead.
    pub source_pages: u64,
    /// Of them, on their way already.
    pub joined_pages: u64,
    /// Pages pushed into the kernel's cache before they were asked for. How many
    /// were used, nobody knows.
    pub pushed_pages: u64,
    /// Reads of the source.
    pub source_reads: u64,
    /// Bytes they brought.
    pub source_bytes: u64,
    /// Bytes read from the pack.
    pub pack_bytes: u64,
    /// Bytes written to the overlay.
    pub written_bytes: u64,
    /// Requests that failed.
    pub failures: u64,
    /// Microseconds from the file's making to its bind, once bound.
    pub bind_us: Option<u64>,
    /// How fetching ahead went, once it is over.
    pub prefetch: Option<PrefetchReport>,
}

/// How fetching ahead went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefetchReport {
    /// Pages pushed.
    pub pages: u64,
    /// Microseconds from the bind to the last of them.
    pub micros: u64,
    /// Nothing failed on the way.
    pub whole: bool,
}
