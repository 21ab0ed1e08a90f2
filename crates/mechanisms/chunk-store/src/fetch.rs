//! Fetching: from the nearest level that has it whole, once for all who wait.

use crate::bounds::{DISK_READS_MAX, FETCHES_MAX};
use crate::disk::{Disk, Found};
use crate::metrics;
use crate::object::{Level, Object, Sealed, Unfit};
use crate::options::Options;
use crate::origin::{Origin, Unreached};
use bytes::Bytes;
use hearth_chunk_format::{ChunkKey, ChunkName, ChunkRef, ManifestError};
use moka::future::Cache;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Something cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The origin does not answer; later it may.
    #[error("cannot reach {0} at the origin")]
    Unreachable(String, #[source] Arc<Unreached>),
    /// No level has it.
    #[error("{0} is missing")]
    Missing(Object),
    /// The origin's copy is not what its name says, and no other level has one.
    #[error("{0} is corrupt at the origin")]
    Corrupt(Object),
    /// It is whole, and not for whoever asked.
    #[error("the manifest is refused")]
    Refused(#[source] Arc<ManifestError>),
    /// More than one read returns.
    #[error("a read of {0} bytes is too long")]
    TooLong(usize),
}

/// The levels, nearest first.
pub(crate) struct Levels {
    /// Opened chunks, each with its key: a name alone opens nothing.
    memory: Cache<ChunkName, (ChunkKey, Bytes)>,
    pub(crate) disk: Option<Disk>,
    pub(crate) origin: Origin,
    fetches: Semaphore,
    disk_reads: Semaphore,
}

impl Levels {
    pub(crate) fn new(origin: Origin, disk: Option<Disk>, options: &Options) -> Self {
        let memory = Cache::builder()
            .max_capacity(options.memory_bytes)
            .weigher(|_, (_, plaintext): &(ChunkKey, Bytes)| plaintext.len() as u32)
            .build();
        let fetches = Semaphore::new(FETCHES_MAX);
        Self { memory, disk, origin, fetches, disk_reads: Semaphore::new(DISK_READS_MAX) }
    }

    /// A chunk, opened. It holds on to the whole chunk's memory.
    pub(crate) async fn chunk(&self, chunk: &ChunkRef) -> Result<Bytes, ReadError> {
        let (key, plaintext) = match self.memory.get(&chunk.name).await {
            Some(hit) => {
                metrics::hit(Level::Memory, hit.1.len(), None);
                hit
            }
            None => {
                metrics::missed(Level::Memory);
                let load = async {
                    let opened = self.need(chunk).await?;
                    Ok((chunk.key.clone(), Bytes::from(opened)))
                };
                let loaded = self.memory.try_get_with(chunk.name, load).await;
                loaded.map_err(|error: Arc<ReadError>| ReadError::clone(&error))?
            }
        };
        match key == chunk.key {
            true => Ok(plaintext),
            false => Err(ReadError::Corrupt(chunk.object())),
        }
    }

    /// A chunk that memory has, with the key that is asked for.
    pub(crate) async fn in_memory(&self, chunk: &ChunkRef) -> Option<Vec<u8>> {
        let (key, plaintext) = self.memory.get(&chunk.name).await?;
        (key == chunk.key).then(|| plaintext.to_vec())
    }

    /// An object from disk or the origin, checked and opened.
    pub(crate) async fn fetch<S: Sealed>(&self, wanted: &S) -> Result<S::Opened, ReadError> {
        let object = wanted.object();
        let mut heals = false;
        if let Some(disk) = &self.disk {
            let _permit = self.disk_reads.acquire().await.expect("it is never closed");
            let started = Instant::now();
            let found = disk.fetch(wanted).await;
            heals = matches!(found, Found::Damaged);
            if let Found::Whole(sealed, opened) = found {
                metrics::hit(Level::Disk, sealed.len(), Some(started.elapsed()));
                return opened.map_err(|unfit| match unfit {
                    Unfit::Damaged => ReadError::Corrupt(object),
                    Unfit::Refused(why) => ReadError::Refused(Arc::new(why)),
                });
            }
            metrics::missed(Level::Disk);
        }
        let _permit = self.fetches.acquire().await.expect("it is never closed");
        let (sealed, opened) = self.origin.fetch(wanted).await?;
        if self.keep(object, sealed).await && heals {
            metrics::healed(Level::Disk);
        }
        Ok(opened)
    }

    /// Keeps what was written, as its first reader is likely to be here.
    /// Whether the disk took it.
    pub(crate) async fn keep(&self, object: Object, sealed: Bytes) -> bool {
        match &self.disk {
            Some(disk) => disk.keep(object, sealed).await,
            None => false,
        }
    }

    /// Removes what a collection deleted.
    pub(crate) async fn forget(&self, object: Object) {
        if let Object::Chunk(name) = object {
            self.memory.invalidate(&name).await;
        }
        if let Some(disk) = &self.disk {
            disk.remove(object).await;
        }
    }
}
