//! The FUSE front: a file system with one directory, and in it the files that
//! are served, each an inode of its own.
//!
//! **Copy on read**: the kernel keeps the pages of each inode apart, so no two
//! clones ever have a page in common, though their source be the same. It keeps
//! what it has read (`FOPEN_KEEP_CACHE`), and reads nothing ahead.
//!
//! Whoever asks is hostile: it may have any offset, and all of its threads, in
//! here. A thread of ours does what needs no waiting and hands on the rest, so a
//! slow source keeps nobody up but who needs it.

mod filesystem;
mod mount;
mod pending;

pub(crate) use mount::{Mounted, detach};

use crate::CloneId;
use crate::page::PageNo;
use crate::paged_file::Cache;
use fuser::{INodeNo, Notifier};
use std::io;

/// Threads that take requests; none of them ever waits for a source.
const THREADS: usize = 4;
/// Most bytes of one request. What is in flight for one file is bounded by this
/// times its requests.
const REQUEST_BYTES_MAX: u32 = 128 * 1024;

/// The kernel's cache of one file.
pub(crate) struct KernelCache {
    id: CloneId,
    notifier: Notifier,
}

impl KernelCache {
    pub(crate) fn new(id: CloneId, notifier: Notifier) -> Self {
        Self { id, notifier }
    }
}

impl Cache for KernelCache {
    /// A page that is being read is locked, and this waits until it is read. One
    /// that is in the cache already is overwritten with the same bytes.
    fn store(&self, first: PageNo, bytes: &[u8]) -> io::Result<()> {
        self.notifier.store(INodeNo(self.id.0), first.offset(), bytes)
    }
}
