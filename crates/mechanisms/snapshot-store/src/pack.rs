//! Working sets: the pages that clones touch, stored one after the other.
//!
//! ```text
//!  memory   │ . a . . b . c . │          pages of the file, by number
//!  pack     │ b a c │                    as they were first touched
//! ```

use bytes::{Bytes, BytesMut};
use hearth_chunk_store::{PAGE_BYTES, ReadError, StoredFile};
use hearth_page_server::PageNo;

/// A working set as it is learnt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkingSetOf {
    /// Pages, in order.
    pub pages: Vec<u32>,
    /// How many clones it was learnt from.
    pub recordings: u32,
}

/// A stored pack, read as one file without holes.
#[derive(Clone)]
pub struct Packed {
    file: StoredFile,
    pages: Vec<u32>,
}

impl Packed {
    /// Takes an open pack.
    pub(crate) fn new(file: StoredFile) -> Self {
        // Chunks and places in them count up as pages were packed.
        let mut extents: Vec<_> = file.extents().to_vec();
        extents.sort_unstable_by_key(|extent| (extent.chunk, extent.at));
        let pages = extents.iter().flat_map(|e| e.page..e.page + u32::from(e.pages)).collect();
        Self { file, pages }
    }

    /// Which pages are in it, in order.
    pub fn pages(&self) -> Vec<PageNo> {
        self.pages.iter().copied().map(PageNo).collect()
    }

    /// The stored file.
    pub fn file(&self) -> &StoredFile {
        &self.file
    }

    /// Its size: its pages', one after the other.
    pub(crate) fn size(&self) -> u64 {
        self.pages.len() as u64 * PAGE_BYTES as u64
    }

    /// Reads bytes of it, all of which are before its end.
    pub(crate) async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, ReadError> {
        let first = (offset / PAGE_BYTES as u64) as usize;
        let end = (offset + len as u64).div_ceil(PAGE_BYTES as u64) as usize;
        let pages = &self.pages[first..end];
        let mut bytes = BytesMut::with_capacity(pages.len() * PAGE_BYTES);
        for page in pages {
            let page = self.file.read_at(u64::from(*page) * PAGE_BYTES as u64, PAGE_BYTES).await?;
            bytes.extend_from_slice(&page);
        }
        let skip = (offset % PAGE_BYTES as u64) as usize;
        Ok(bytes.freeze().slice(skip..skip + len))
    }
}
