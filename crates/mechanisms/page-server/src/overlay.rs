//! What was written to a file: a sparse file of its own that has no name, so
//! that nothing is left of it when the server ends.

use crate::local_file;
use crate::page::PageRun;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

pub(crate) struct Overlay(Arc<File>);

impl Overlay {
    /// Makes one for a file of `size` bytes, in `dir`. Blocks.
    pub(crate) fn create(dir: &Path, size: u64) -> io::Result<Self> {
        let file = tempfile::tempfile_in(dir)?;
        file.set_len(size)?;
        Ok(Self(Arc::new(file)))
    }

    pub(crate) async fn read(&self, run: PageRun) -> io::Result<Bytes> {
        let bytes = run.bytes();
        local_file::read(&self.0, bytes.start, (bytes.end - bytes.start) as usize).await
    }

    pub(crate) async fn write(&self, offset: u64, bytes: Bytes) -> io::Result<()> {
        let file = self.0.clone();
        // The kernel may hold up a writer until the disk has caught up.
        let write = tokio::task::spawn_blocking(move || file.write_all_at(&bytes, offset));
        write.await.map_err(io::Error::other)?
    }
}
