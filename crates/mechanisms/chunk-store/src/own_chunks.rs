//! A file's own chunks on their way to the origin: pages come in, in order,
//! fill chunks, and these are sealed and stored a few at a time.

use crate::blocking::blocking;
use crate::bounds::WRITE_PARALLEL;
use crate::fetch::ReadError;
use crate::guards::Writing;
use crate::keyring::WritingKeys;
use crate::metrics;
use crate::object::{Level, Object};
use crate::origin::age;
use crate::store::ChunkStore;
use crate::suspects::Suspects;
use crate::write::{Draft, WriteError};
use bytes::Bytes;
use hearth_chunk_format::{
    CHUNK_BYTES, ChunkRef, Extent, ManifestBuilder, Origin, PAGE_BYTES, seal_chunk,
};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Chunks of one file.
pub(crate) struct OwnChunks {
    store: ChunkStore,
    keys: WritingKeys,
    writing: Arc<Writing>,
    suspects: Arc<Suspects>,
    pages: Vec<u32>,
    data: Vec<u8>,
    stored: JoinSet<Result<Own, ReadError>>,
    done: Vec<Own>,
    next: usize,
}

/// One of them, stored.
struct Own {
    number: usize,
    chunk: ChunkRef,
    pages: Vec<u32>,
    is_new: bool,
}

/// What was stored, and what the origin had already.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) chunks_new: u64,
    pub(crate) bytes_new: u64,
    pub(crate) chunks_present: u64,
    pub(crate) bytes_present: u64,
}

impl OwnChunks {
    pub(crate) fn new(store: &ChunkStore, draft: &Draft) -> Self {
        Self {
            store: store.clone(),
            keys: draft.keys.clone(),
            writing: draft.writing.clone(),
            suspects: draft.suspects.clone(),
            pages: Vec::new(),
            data: Vec::new(),
            stored: JoinSet::new(),
            done: Vec::new(),
            next: 0,
        }
    }

    /// Adds a page of the file.
    pub(crate) async fn add(&mut self, page: u32, data: &[u8]) -> Result<(), WriteError> {
        if self.data.capacity() == 0 {
            // The tag is appended in place.
            self.data.reserve_exact(CHUNK_BYTES + hearth_chunk_format::SEALED_EXTRA_BYTES);
        }
        self.pages.push(page);
        self.data.extend_from_slice(data);
        match self.data.len() < CHUNK_BYTES {
            true => Ok(()),
            false => self.cut().await,
        }
    }

    /// Ends the chunk that is being filled.
    pub(crate) async fn cut(&mut self) -> Result<(), WriteError> {
        if self.pages.is_empty() {
            return Ok(());
        }
        while self.stored.len() >= WRITE_PARALLEL {
            self.finish_one().await?;
        }
        let (pages, data) = (std::mem::take(&mut self.pages), std::mem::take(&mut self.data));
        let (store, writing) = (self.store.clone(), self.writing.clone());
        let suspects = self.suspects.clone();
        let (secret, number) = (self.keys.chunks.clone(), self.next);
        self.next += 1;
        hearth_tasks::spawn_in(&mut self.stored, "store a chunk", async move {
            let (chunk, sealed) = blocking(move || seal_chunk(&secret, data)).await;
            let is_new = store.put_chunk(&writing, &suspects, &chunk, sealed.into()).await?;
            Ok(Own { number, chunk, pages, is_new })
        });
        Ok(())
    }

    async fn finish_one(&mut self) -> Result<bool, WriteError> {
        let Some(stored) = self.stored.join_next().await else { return Ok(false) };
        match stored {
            Ok(own) => self.done.push(own.map_err(WriteError::Origin)?),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
        Ok(true)
    }

    /// Waits until all is stored, and gives the pages their places.
    pub(crate) async fn finish(
        mut self,
        builder: &mut ManifestBuilder,
    ) -> Result<Stored, WriteError> {
        self.cut().await?;
        while self.finish_one().await? {}
        self.done.sort_unstable_by_key(|own| own.number);
        let mut stored = Stored::default();
        for own in self.done {
            let (bytes, chunk) = (own.chunk.sealed_len(), builder.chunk(&own.chunk, Origin::Own));
            for (at, page) in own.pages.into_iter().enumerate() {
                builder.place(Extent { page, chunk, at: at as u8, pages: 1 });
            }
            metrics::written(own.is_new, bytes);
            let (chunks, total) = match own.is_new {
                true => (&mut stored.chunks_new, &mut stored.bytes_new),
                false => (&mut stored.chunks_present, &mut stored.bytes_present),
            };
            *chunks += 1;
            *total += bytes as u64;
        }
        Ok(stored)
    }
}

impl ChunkStore {
    /// Stores a chunk unless the origin has it; whether it had not.
    async fn put_chunk(
        &self,
        writing: &Writing,
        suspects: &Suspects,
        chunk: &ChunkRef,
        sealed: Bytes,
    ) -> Result<bool, ReadError> {
        let object = Object::Chunk(chunk.name);
        let origin = &self.shared.levels.origin;
        writing.protect(*object.hash()).await;
        let there = origin.head(&object.path()).await?;
        // Somebody else's collection must not find it old: it is written again
        // when half of its grace is over, its length is wrong, or a read found it bad.
        let is_whole = !suspects.has(&object)
            && there.as_ref().is_some_and(|meta| meta.size == sealed.len() as u64);
        let is_fresh = there.is_some_and(|meta| age(&meta) < self.shared.grace / 2);
        if !is_whole || !is_fresh || self.stores_all {
            origin.put(&object.path(), &sealed).await?;
        }
        if suspects.has(&object) {
            metrics::healed(Level::Origin);
            tracing::info!(%object, "stored anew what was bad at the origin");
            self.shared.levels.clear(object.hash()).await?;
        }
        self.shared.levels.keep(object, sealed).await;
        Ok(!is_whole)
    }
}

/// Whole pages of a buffer, numbered from `first`.
pub(crate) fn pages(first: u32, data: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    (first..).zip(data.chunks_exact(PAGE_BYTES))
}
