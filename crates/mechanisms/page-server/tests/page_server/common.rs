//! A server with a directory and a source to serve.

use crate::roles::{Kind, reference};
use hearth_page_server::{
    Access, CloneFile, FileSpec, PAGE_BYTES, PageServer, SourceRef, StartOptions, Waits,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::mount::{UnmountFlags, unmount};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const PAGE: usize = PAGE_BYTES as usize;

pub(crate) struct Stage {
    pub(crate) server: PageServer,
    pub(crate) dir: Dir,
}

/// A directory for a server in `pages`, which may not have ended yet when this
/// is dropped: its mount is taken down, or the directory could not be removed.
pub(crate) struct Dir(tempfile::TempDir);

impl Dir {
    pub(crate) fn new() -> std::io::Result<Self> {
        tempfile::tempdir().map(Self)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // Not mounted, if the server was quicker.
        let _not_mounted = unmount(self.path().join("pages/files"), UnmountFlags::DETACH);
    }
}

pub(crate) fn options(dir: &Path) -> StartOptions {
    StartOptions {
        dir: dir.into(),
        program: std::env::current_exe().unwrap(),
        args: vec!["serve".into()],
        waits: Waits::default(),
    }
}

impl Stage {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        Self::with(Waits::default()).await
    }

    pub(crate) async fn with(waits: Waits) -> anyhow::Result<Self> {
        let dir = Dir::new()?;
        let options = StartOptions { waits, ..options(&dir.path().join("pages")) };
        Ok(Self { server: PageServer::start(options).await?, dir })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file that can only be read.
    pub(crate) async fn file(&self, pages: u64) -> anyhow::Result<CloneFile> {
        let spec = FileSpec {
            size: pages * PAGE_BYTES,
            writable: false,
            uid: Some(0),
            access: Access::Mapped,
        };
        Ok(self.server.create(spec).await?)
    }

    /// A source, and its bytes.
    pub(crate) fn source(&self, kind: Kind, pages: u64) -> (SourceRef, Vec<u8>) {
        let path = self.path("source");
        let bytes = data(&path, pages);
        (reference(kind, &path), bytes)
    }
}

/// Writes a sparse file of which every other 16 pages are random, and the last
/// page is half as long.
pub(crate) fn data(path: &Path, pages: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(pages);
    let size = pages as usize * PAGE - PAGE / 2;
    let mut bytes = vec![0; size];
    let file = File::create(path).unwrap();
    file.set_len(size as u64).unwrap();
    for (index, stretch) in bytes.chunks_mut(16 * PAGE).enumerate() {
        if index % 2 == 1 {
            random.fill(stretch);
            file.write_all_at(stretch, (index * 16 * PAGE) as u64).unwrap();
        }
    }
    bytes
}

/// Runs something that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    Ok(tokio::task::spawn_blocking(work).await??)
}

/// Reads one page of a file.
pub(crate) fn page(file: &File, page: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; PAGE];
    file.read_exact_at(&mut bytes, (page * PAGE) as u64)?;
    Ok(bytes)
}

pub(crate) fn errno(error: &anyhow::Error) -> Option<i32> {
    error.downcast_ref::<std::io::Error>()?.raw_os_error()
}

/// What tells pages apart.
pub(crate) fn sum(page: &[u8]) -> u64 {
    let words = page.as_chunks::<8>().0.iter();
    words.fold(0, |sum: u64, word| sum.rotate_left(1) ^ u64::from_le_bytes(*word))
}
