//! A plain file of this machine as a source.

use crate::{Source, SourceRef, Sources};
use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::{SeekFrom, seek};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Stretches of data that are told apart in one file; what follows the last of
/// them counts as data. A memory file of a guest has some thousands.
const EXTENTS_MAX: usize = 64 * 1024;

/// A file of this machine; its holes are known.
pub struct LocalFile {
    file: Arc<File>,
    size: u64,
    extents: Vec<Range<u64>>,
}

impl LocalFile {
    /// Takes an opened file, which nobody writes any more. Blocks.
    pub fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let extents = extents(&file, size)?;
        Ok(Self { file: Arc::new(file), size, extents })
    }
}

fn extents(file: &File, size: u64) -> io::Result<Vec<Range<u64>>> {
    let mut extents = Vec::new();
    let mut from = 0;
    while from < size {
        let start = match seek(file, SeekFrom::Data(from)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        if extents.len() + 1 == EXTENTS_MAX {
            extents.push(start..size);
            break;
        }
        from = seek(file, SeekFrom::Hole(start))?;
        extents.push(start..from);
    }
    Ok(extents)
}

/// Bytes of a file: at once if the kernel has them in memory, else from a thread
/// that may wait for the disk.
pub(crate) async fn read(file: &Arc<File>, offset: u64, len: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; len];
    let now = preadv2(file, &mut [IoSliceMut::new(&mut bytes)], offset, ReadWriteFlags::NOWAIT);
    if now == Ok(len) {
        return Ok(bytes.into());
    }
    let file = file.clone();
    let read = tokio::task::spawn_blocking(move || {
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes.into())
    });
    read.await.map_err(io::Error::other)?
}

#[async_trait]
impl Source for LocalFile {
    fn size(&self) -> u64 {
        self.size
    }

    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        read(&self.file, offset, len).await
    }

    fn next_data(&self, offset: u64) -> Option<Range<u64>> {
        let index = self.extents.partition_point(|extent| extent.end <= offset);
        self.extents.get(index).map(|extent| extent.start.max(offset)..extent.end)
    }
}

/// Opens local files; a reference is a path.
pub struct LocalFiles;

impl LocalFiles {
    /// Refers to a file by its path.
    pub fn reference(path: &Path) -> SourceRef {
        SourceRef(path.as_os_str().as_bytes().to_vec())
    }
}

#[async_trait]
impl Sources for LocalFiles {
    async fn open(&self, reference: &SourceRef) -> io::Result<Arc<dyn Source>> {
        let path = std::ffi::OsString::from_vec(reference.0.clone());
        let open = tokio::task::spawn_blocking(move || LocalFile::new(File::open(path)?));
        Ok(Arc::new(open.await.map_err(io::Error::other)??))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn holes_are_known_and_data_is_read() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        file.write_all_at(b"hearth", 65_536).unwrap();
        file.write_all_at(b"end", (1 << 20) - 3).unwrap();
        let source = LocalFile::new(file).unwrap();
        assert_eq!(source.size(), 1 << 20);
        let first = source.next_data(0).unwrap();
        assert_eq!(first.start, 65_536);
        assert_eq!(source.next_data(65_540).unwrap(), 65_540..first.end, "clipped");
        assert_eq!(source.next_data(first.end).unwrap().end, 1 << 20);
        assert_eq!(source.next_data(1 << 20), None);
        assert_eq!(&source.read_at(65_536, 6).await.unwrap()[..], b"hearth");
        let beyond = source.read_at((1 << 20) - 1, 2).await.unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
    }
}
