//! Writing a child of a file: only the pages that differ are stored, packed
//! together. The child's manifest says of every page where it is, in chunks of
//! its own or the parent's, so reading looks nothing up twice.
//!
//! ```text
//!  parent   │ a │ b │ c │ 0 │ d │     chunk P: a b c d
//!  child    │ a │ x │ 0 │ y │ d │     chunk C: x y
//!  manifest   P   C   -   C   P
//! ```

use crate::blocking::blocking;
use crate::bounds::COMPARE_PARALLEL;
use crate::file::StoredFile;
use crate::own_chunks::{OwnChunks, pages};
use crate::source::{Source, is_zero};
use crate::store::ChunkStore;
use crate::write::{WriteError, Written, scan};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use hearth_chunk_format::{
    CHUNK_BYTES, CHUNK_PAGES, Extent, Kind, ManifestBuilder, Origin, Owner, PAGE_BYTES,
};
use std::ops::Range;

/// What became of one window of the child.
struct Compared {
    /// Pages that the parent has.
    same: Vec<u32>,
    /// Pages that it has not, and what is in them.
    differ: Vec<(u32, Bytes)>,
}

impl ChunkStore {
    /// Stores a file for `owner` as a child of `parent`, whoever owns that.
    pub async fn write_layer(
        &self,
        owner: &Owner,
        source: impl Into<Source>,
        parent: &StoredFile,
    ) -> Result<Written, WriteError> {
        let source = source.into();
        self.until_it_stays(|| self.write_layer_once(owner, &source, parent)).await
    }

    async fn write_layer_once(
        &self,
        owner: &Owner,
        source: &Source,
        parent: &StoredFile,
    ) -> Result<Written, WriteError> {
        let draft = self.draft(owner).await?;
        let (size, windows) = scan(source).await?;
        let mut builder =
            ManifestBuilder::new(Kind::File, size, draft.keys.salt).map_err(WriteError::Build)?;
        let mut own = OwnChunks::new(self, &draft);
        let mut compared = stream::iter(windows)
            .map(|window| compare(source.clone(), size, window, parent))
            .buffered(COMPARE_PARALLEL);
        while let Some(compared) = compared.next().await {
            let Compared { same, differ } = compared?;
            same.into_iter().for_each(|page| share(&mut builder, parent, page));
            for (page, data) in differ {
                own.add(page, &data).await?;
            }
        }
        let stored = own.finish(&mut builder).await?;
        let manifest = builder.finish().map_err(WriteError::Build)?;
        self.finish(draft, manifest, stored).await
    }
}

async fn compare(
    source: Source,
    size: u64,
    window: u32,
    parent: &StoredFile,
) -> Result<Compared, WriteError> {
    let start = u64::from(window) * CHUNK_BYTES as u64;
    let end = (start + CHUNK_BYTES as u64).min(parent.size());
    let theirs = match start < end {
        true => parent.parts(start..end).await.map_err(WriteError::Parent)?,
        false => Vec::new(),
    };
    let compare = move || {
        let data = Bytes::from(source.read_window(window, size)?);
        Ok(sort_out(window, &data, &theirs))
    };
    blocking(compare).await.map_err(WriteError::Source)
}

/// `theirs` is the parent's data in this window, in order.
fn sort_out(window: u32, data: &Bytes, theirs: &[(Range<u64>, Bytes)]) -> Compared {
    let mut compared = Compared { same: Vec::new(), differ: Vec::new() };
    let mut theirs = theirs.iter().peekable();
    for (page, mine) in pages(window * CHUNK_PAGES as u32, data) {
        if is_zero(mine) {
            continue;
        }
        let offset = u64::from(page) * PAGE_BYTES as u64;
        while theirs.next_if(|(range, _)| range.end <= offset).is_some() {}
        let at_parent = theirs.peek().and_then(|(range, bytes)| {
            let at = offset.checked_sub(range.start)? as usize;
            Some(&bytes[at..bytes.len().min(at + PAGE_BYTES)])
        });
        // The parent may end within this page. The rest of it is zero there.
        let is_same = at_parent
            .is_some_and(|at_parent| mine.starts_with(at_parent) && is_zero_tail(mine, at_parent));
        match is_same {
            true => compared.same.push(page),
            false => compared.differ.push((page, data.slice_ref(mine))),
        }
    }
    compared
}

fn is_zero_tail(mine: &[u8], at_parent: &[u8]) -> bool {
    mine[at_parent.len()..].iter().all(|byte| *byte == 0)
}

/// Gives a page the place that the parent has it at.
fn share(builder: &mut ManifestBuilder, parent: &StoredFile, page: u32) {
    let manifest = parent.manifest();
    let extent = manifest.extent_of(page).expect("a page that is not zero has a place");
    let chunk = builder.chunk(&manifest.chunks()[extent.chunk as usize].chunk, Origin::Shared);
    let at = extent.at + (page - extent.page) as u8;
    builder.place(Extent { page, chunk, at, pages: 1 });
}
