//! What a file is written from.

use bytes::Bytes;
use hearth_chunk_format::{CHUNK_BYTES, CHUNK_PAGES, PAGE_BYTES};
use rustix::fs::{SeekFrom, seek};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes to store. A file must not change while it is written.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file; its holes are not read.
    File(Arc<File>),
    /// Bytes in memory.
    Bytes(Bytes),
}

impl From<File> for Source {
    fn from(file: File) -> Self {
        Self::File(Arc::new(file))
    }
}

impl From<Bytes> for Source {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl Source {
    pub(crate) fn size(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// The windows of 512 KiB that hold data, by number, in order.
    pub(crate) fn windows(&self, size: u64) -> io::Result<Vec<u32>> {
        let mut windows = Vec::new();
        let mut offset = 0;
        while offset < size {
            let Some(data) = self.next_data(offset)? else { break };
            let window = data / CHUNK_BYTES as u64;
            windows.push(window as u32);
            offset = (window + 1) * CHUNK_BYTES as u64;
        }
        Ok(windows)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        match self {
            Self::File(file) => match seek(file, SeekFrom::Data(offset)) {
                Ok(data) => Ok(Some(data)),
                Err(rustix::io::Errno::NXIO) => Ok(None),
                // A file system without holes.
                Err(rustix::io::Errno::INVAL) => Ok(Some(offset)),
                Err(error) => Err(error.into()),
            },
            Self::Bytes(_) => Ok(Some(offset)),
        }
    }

    /// A window, filled up with zeros to a whole page.
    pub(crate) fn read_window(&self, window: u32, size: u64) -> io::Result<Vec<u8>> {
        self.read_pages(window * CHUNK_PAGES as u32, CHUNK_PAGES as u32, size)
    }

    /// Some pages, as many as there are; the last one is filled up with zeros.
    pub(crate) fn read_pages(&self, first: u32, pages: u32, size: u64) -> io::Result<Vec<u8>> {
        let offset = u64::from(first) * PAGE_BYTES as u64;
        let len = size.saturating_sub(offset).min(u64::from(pages) * PAGE_BYTES as u64) as usize;
        let mut out = vec![0; len.next_multiple_of(PAGE_BYTES)];
        match self {
            Self::File(file) => file.read_exact_at(&mut out[..len], offset)?,
            Self::Bytes(bytes) => {
                out[..len].copy_from_slice(&bytes[offset as usize..offset as usize + len]);
            }
        }
        Ok(out)
    }
}

/// Whether a page holds nothing but zeros.
pub(crate) fn is_zero(page: &[u8]) -> bool {
    const ZERO: [u8; PAGE_BYTES] = [0; PAGE_BYTES];
    page == ZERO
}
