//! Packing a working set: its pages one after the other, so that a few reads
//! bring them all.
//!
//! ```text
//!  working set    9 5 0 7 3 8 … (order of access; page 0 is zeros)
//!  pack           5 7 9 │ 3 8 … (pieces; within a piece in the file's order)
//! ```
//!
//! A piece is read as a whole, so order within it counts for nothing; neighbours
//! in the file that are neighbours in the pack are pushed by one call.

use crate::page::{PageNo, PageRun};
use crate::{PAGE_BYTES, Source, WorkingSet};
use bytes::Bytes;
use std::io;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Pages in a piece, which is read at once: 512 KiB, a chunk of the store.
pub(crate) const PIECE_PAGES: usize = 128;

/// Which pages a pack holds, and which it need not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// The pages in the pack, in its order.
    pub pages: Vec<PageNo>,
    /// Pages of the working set that hold nothing but zeros.
    pub zeros: Vec<PageNo>,
}

/// Writes the pages of a working set to `pack`; pages beyond the source's end
/// are zeros.
pub async fn pack(
    source: &dyn Source,
    set: &WorkingSet,
    pack: &mut (dyn AsyncWrite + Send + Unpin),
) -> io::Result<Packed> {
    let mut packed = Packed::default();
    let mut piece = Vec::with_capacity(PIECE_PAGES);
    for page in set.pages() {
        let bytes = read(source, *page).await?;
        if bytes.iter().all(|byte| *byte == 0) {
            packed.zeros.push(*page);
            continue;
        }
        piece.push((*page, bytes));
        if piece.len() == PIECE_PAGES {
            write(&mut piece, pack, &mut packed).await?;
        }
    }
    write(&mut piece, pack, &mut packed).await?;
    pack.flush().await?;
    Ok(packed)
}

/// What a source has of a page: all of it, or less at its end.
async fn read(source: &dyn Source, page: PageNo) -> io::Result<Bytes> {
    let bytes = PageRun::one(page).bytes();
    let end = bytes.end.min(source.size());
    match source.next_data(bytes.start) {
        Some(data) if data.start < end => {
            source.read_at(bytes.start, (end - bytes.start) as usize).await
        }
        _ => Ok(Bytes::new()),
    }
}

async fn write(
    piece: &mut Vec<(PageNo, Bytes)>,
    pack: &mut (dyn AsyncWrite + Send + Unpin),
    packed: &mut Packed,
) -> io::Result<()> {
    piece.sort_unstable_by_key(|(page, _)| *page);
    for (page, bytes) in piece.drain(..) {
        pack.write_all(&bytes).await?;
        let missing = PAGE_BYTES as usize - bytes.len().min(PAGE_BYTES as usize);
        pack.write_all(&crate::paged_file::ZEROS[..missing]).await?;
        packed.pages.push(page);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LocalFile;
    use std::os::unix::fs::FileExt;

    const PAGE: usize = PAGE_BYTES as usize;

    #[tokio::test]
    async fn a_pack_holds_the_pages_piece_by_piece_and_no_zeros() {
        // Each page is full of its number; page 7 of zeros; the last is cut.
        let numbers: Vec<u8> = (0..255).collect();
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|n| [*n; PAGE]).collect();
        bytes[7 * PAGE..8 * PAGE].fill(0);
        bytes.truncate(254 * PAGE + 1);
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        let source = LocalFile::new(file).unwrap();
        let order: Vec<_> = (0..255).rev().chain([300]).map(PageNo).collect();
        let set = WorkingSet::try_from(order).unwrap();
        let mut out = Vec::new();
        let packed = pack(&source, &set, &mut out).await.unwrap();
        assert_eq!(packed.zeros, [PageNo(7), PageNo(0), PageNo(300)]);
        let expected: Vec<u32> = (127..255).chain((1..127).filter(|page| *page != 7)).collect();
        assert_eq!(packed.pages.iter().map(|page| page.0).collect::<Vec<_>>(), expected);
        assert_eq!(out.len(), packed.pages.len() * PAGE);
        for (page, packed) in packed.pages.iter().zip(out.chunks(PAGE)) {
            let start = page.0 as usize * PAGE;
            let mut expected = bytes[start..bytes.len().min(start + PAGE)].to_vec();
            expected.resize(PAGE, 0);
            assert!(packed == expected, "page {}", page.0);
        }
    }
}
