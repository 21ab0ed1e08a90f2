//! Stored files, and plain ones, as a page server's sources.

use crate::pack::Packed;
use async_trait::async_trait;
use bytes::Bytes;
use hearth_chunk_store::{ChunkStore, ManifestId, Owner, StoredFile};
use hearth_page_server::{LocalFiles, Source, SourceRef, Sources};
use serde::{Deserialize, Serialize};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Names a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reference {
    /// A plain file of this machine.
    Local(PathBuf),
    /// A stored file.
    Stored(Owner, ManifestId),
    /// A stored pack, one page after the other.
    Pack(Owner, ManifestId),
}

impl Reference {
    /// As the page server takes it.
    pub fn encode(&self) -> SourceRef {
        // Texts and numbers always encode.
        SourceRef(serde_json::to_vec(self).expect("a reference is JSON"))
    }
}

/// Opens both.
pub struct ChunkSources(pub ChunkStore);

#[async_trait]
impl Sources for ChunkSources {
    async fn open(&self, reference: &SourceRef) -> io::Result<Arc<dyn Source>> {
        match serde_json::from_slice(&reference.0)? {
            Reference::Local(path) => LocalFiles.open(&LocalFiles::reference(&path)).await,
            Reference::Stored(owner, id) => Ok(Arc::new(Stored(self.file(&owner, &id).await?))),
            Reference::Pack(owner, id) => {
                Ok(Arc::new(Pack(Packed::new(self.file(&owner, &id).await?))))
            }
        }
    }
}

impl ChunkSources {
    async fn file(&self, owner: &Owner, id: &ManifestId) -> io::Result<StoredFile> {
        self.0.open(owner, id).await.map_err(io::Error::other)
    }
}

struct Stored(StoredFile);

#[async_trait]
impl Source for Stored {
    fn size(&self) -> u64 {
        self.0.size()
    }

    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.0.read_at(offset, len).await.map_err(io::Error::other)
    }

    fn next_data(&self, offset: u64) -> Option<Range<u64>> {
        self.0.next_data(offset)
    }
}

struct Pack(Packed);

#[async_trait]
impl Source for Pack {
    fn size(&self) -> u64 {
        self.0.size()
    }

    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.0.read_at(offset, len).await.map_err(io::Error::other)
    }

    fn next_data(&self, offset: u64) -> Option<Range<u64>> {
        (offset < self.size()).then_some(offset..self.size())
    }
}
