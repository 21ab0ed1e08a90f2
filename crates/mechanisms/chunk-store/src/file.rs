//! An open file: reads of it, and what it is made of.

use crate::at_hand::AtHand;
use crate::bounds::{PREFETCH_PARALLEL, READ_BYTES_MAX};
use crate::fetch::ReadError;
use crate::guards::Lease;
use crate::keyring::KeyringError;
use crate::store::ChunkStore;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use hearth_chunk_format::{
    ChunkName, ChunkRef, Extent, Kind, Manifest, ManifestId, Origin, Owner, PAGE_BYTES,
};
use std::ops::Range;
use std::sync::Arc;

/// A file cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// Its manifest cannot be read, or is refused.
    #[error("cannot open the manifest {0}")]
    Manifest(ManifestId, #[source] ReadError),
    /// Its owner's key cannot be had.
    #[error("cannot open the manifest {0} without its key")]
    Key(ManifestId, #[source] Arc<KeyringError>),
}

/// An open file. Clones are cheap; as long as one is held, no collection takes
/// a chunk of it.
#[derive(Clone)]
pub struct StoredFile {
    inner: Arc<Inner>,
}

struct Inner {
    store: ChunkStore,
    owner: Owner,
    id: ManifestId,
    manifest: Arc<Manifest>,
    _lease: Lease,
}

/// A number of chunks, and the bytes of the file that lie in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Chunks.
    pub chunks: u64,
    /// Bytes of pages that the file has there.
    pub bytes: u64,
}

/// What a file is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkStats {
    /// Stored with this file.
    pub own: Tally,
    /// The parent's.
    pub shared: Tally,
}

/// A chunk, and the pages of the file that lie in it.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The chunk's pages.
    pub data: Bytes,
    /// Which pages of the file they are, in the order of the chunk.
    pub runs: Vec<Run>,
}

/// Pages of a file that lie next to each other in [`Fetched::data`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First page in the file.
    pub page: u32,
    /// First byte in the data.
    pub at: usize,
    /// How many pages.
    pub pages: u32,
}

impl ChunkStore {
    /// Opens a file that `owner` wrote.
    pub async fn open(&self, owner: &Owner, id: &ManifestId) -> Result<StoredFile, OpenError> {
        self.open_with(owner, id, &AtHand::default()).await
    }

    /// The file of a manifest that is at hand.
    pub(crate) fn opened(
        &self,
        owner: &Owner,
        id: ManifestId,
        manifest: Arc<Manifest>,
        lease: Lease,
    ) -> StoredFile {
        lease.opened(manifest.clone());
        let inner =
            Inner { store: self.clone(), owner: owner.clone(), id, manifest, _lease: lease };
        StoredFile { inner: Arc::new(inner) }
    }
}

impl StoredFile {
    /// Its id.
    pub fn id(&self) -> ManifestId {
        self.inner.id
    }

    /// Whose it is.
    pub fn owner(&self) -> &Owner {
        &self.inner.owner
    }

    /// Whether it is a whole file or a pack of one's pages.
    pub fn kind(&self) -> Kind {
        self.inner.manifest.kind()
    }

    /// Size in bytes; a pack's is that of the file.
    pub fn size(&self) -> u64 {
        self.inner.manifest.size()
    }

    /// Where its pages are, in the order of the file. What lies between is zero.
    pub fn extents(&self) -> &[Extent] {
        self.inner.manifest.extents()
    }

    /// The data at or behind `offset`: the bytes up to the next hole, or `None`
    /// if there is only zero up to the end.
    pub fn next_data(&self, offset: u64) -> Option<Range<u64>> {
        let page = u32::try_from(offset / PAGE_BYTES as u64).ok()?;
        let mut extents = self.inner.manifest.extents_from(page).iter().peekable();
        let first = extents.next()?;
        let mut end = first.end();
        while let Some(next) = extents.next_if(|next| next.page == end) {
            end = next.end();
        }
        let bytes = |page: u32| u64::from(page) * PAGE_BYTES as u64;
        let range = bytes(first.page).max(offset)..bytes(end).min(self.size());
        (!range.is_empty()).then_some(range)
    }

    /// What it is made of.
    pub fn chunks(&self) -> ChunkStats {
        let manifest = &self.inner.manifest;
        let mut stats = ChunkStats::default();
        for named in manifest.chunks() {
            stats.of(named.origin).chunks += 1;
        }
        for extent in manifest.extents() {
            let origin = manifest.chunks()[extent.chunk as usize].origin;
            stats.of(origin).bytes += u64::from(extent.pages) * PAGE_BYTES as u64;
        }
        stats
    }

    /// The chunks that it names, and the bytes that each takes at the origin.
    pub fn names(&self) -> impl Iterator<Item = (ChunkName, u64)> {
        let chunks = self.inner.manifest.chunks().iter().map(|named| &named.chunk);
        chunks.map(|chunk| (chunk.name, chunk.sealed_len() as u64))
    }

    /// Its pages that are not zero, in order, and in whose chunks they lie.
    pub fn origins(&self) -> impl Iterator<Item = (Range<u32>, Origin)> {
        let Inner { manifest, .. } = &*self.inner;
        let origin = |extent: &Extent| manifest.chunks()[extent.chunk as usize].origin;
        manifest.extents().iter().map(move |extent| (extent.page..extent.end(), origin(extent)))
    }

    /// Reads up to `len` bytes; fewer at the end of the file, none behind it.
    /// Where one chunk has it all, nothing is copied, and the answer holds on to
    /// that chunk's memory.
    pub async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, ReadError> {
        if len > READ_BYTES_MAX {
            return Err(ReadError::TooLong(len));
        }
        let end = self.size().min(offset.saturating_add(len as u64));
        if offset >= end {
            return Ok(Bytes::new());
        }
        let parts = self.parts(offset..end).await?;
        if let [(range, data)] = &parts[..]
            && *range == (offset..end)
        {
            return Ok(data.clone());
        }
        let mut out = BytesMut::zeroed((end - offset) as usize);
        for (range, data) in parts {
            out[(range.start - offset) as usize..][..data.len()].copy_from_slice(&data);
        }
        Ok(out.freeze())
    }

    /// The data within a range of bytes, cut to it, in order.
    pub(crate) async fn parts(
        &self,
        wanted: Range<u64>,
    ) -> Result<Vec<(Range<u64>, Bytes)>, ReadError> {
        let Inner { store, manifest, .. } = &*self.inner;
        // The size bounds offsets, and with them pages.
        let first = (wanted.start / PAGE_BYTES as u64) as u32;
        let start = |extent: &Extent| u64::from(extent.page) * PAGE_BYTES as u64;
        let extents = manifest.extents_from(first).iter();
        let extents = extents.take_while(|extent| start(extent) < wanted.end);
        let read = |extent: &Extent| {
            let chunk = &manifest.chunks()[extent.chunk as usize].chunk;
            let from = start(extent).max(wanted.start);
            let to = (u64::from(extent.end()) * PAGE_BYTES as u64).min(wanted.end);
            let at = usize::from(extent.at) * PAGE_BYTES + (from - start(extent)) as usize;
            async move {
                let data = store.shared.levels.chunk(chunk).await?;
                Ok((from..to, data.slice(at..at + (to - from) as usize)))
            }
        };
        let reads: Vec<_> = extents.map(read).collect();
        stream::iter(reads).buffered(PREFETCH_PARALLEL).try_collect().await
    }

    /// All of its chunks, in the order in which they are wanted (a pack's: that
    /// of its pages), a few fetched ahead at a time.
    pub fn fetch_all(&self) -> impl Stream<Item = Result<Fetched, ReadError>> + Send + 'static {
        let file = self.clone();
        let mut order = self.extents().to_vec();
        order.sort_unstable_by_key(|extent| (extent.chunk, extent.at));
        let groups: Vec<Vec<Extent>> =
            order.chunk_by(|a, b| a.chunk == b.chunk).map(<[Extent]>::to_vec).collect();
        let fetch = move |group: Vec<Extent>| {
            let file = file.clone();
            async move {
                let Inner { store, manifest, .. } = &*file.inner;
                let chunk = &manifest.chunks()[group[0].chunk as usize].chunk;
                let data = store.shared.levels.chunk(chunk).await?;
                let runs = group.iter().map(|extent| Run {
                    page: extent.page,
                    at: usize::from(extent.at) * PAGE_BYTES,
                    pages: extent.pages.into(),
                });
                Ok(Fetched { data, runs: runs.collect() })
            }
        };
        stream::iter(groups).map(fetch).buffered(PREFETCH_PARALLEL)
    }

    pub(crate) async fn chunk(&self, chunk: &ChunkRef) -> Result<Bytes, ReadError> {
        self.inner.store.shared.levels.chunk(chunk).await
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }
}

impl ChunkStats {
    fn of(&mut self, origin: Origin) -> &mut Tally {
        match origin {
            Origin::Own => &mut self.own,
            Origin::Shared => &mut self.shared,
        }
    }
}
