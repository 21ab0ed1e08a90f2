//! Writing a file that has no parent, and what all writes end with.

use crate::among::Pace;
use crate::blocking::blocking;
use crate::bounds::WRITE_ATTEMPTS;
use crate::doomed::{self, Over};
use crate::fetch::ReadError;
use crate::file::{OpenError, StoredFile};
use crate::guards::Writing;
use crate::keyring::{KeyringError, WritingKeys};
use crate::object::Object;
use crate::own_chunks::{OwnChunks, Stored, pages};
use crate::source::{Source, is_zero};
use crate::stopwatch::Stopwatch;
use crate::store::ChunkStore;
use crate::suspects::Suspects;
use hearth_chunk_format::{
    BuildError, CHUNK_PAGES, Cuts, Kind, Manifest, ManifestBuilder, ManifestError, ManifestId,
    Owner, PAGE_BYTES, seal_manifest,
};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A file was not stored. What was stored of it is left to a collection.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The source cannot be read, or changed meanwhile.
    #[error("cannot read what is to be stored")]
    Source(#[source] io::Error),
    /// The keys cannot be had.
    #[error("cannot store a file without its owner's key")]
    Key(#[source] KeyringError),
    /// The origin does not take it.
    #[error("cannot store a chunk or manifest")]
    Origin(#[source] ReadError),
    /// The parent, or the file of a pack, cannot be read.
    #[error("cannot read the file that another builds upon")]
    Parent(#[source] ReadError),
    /// It is too large, or a pack names a page that is not there.
    #[error("cannot describe the file")]
    Build(#[source] BuildError),
    /// Its manifest is too large.
    #[error("cannot seal the manifest")]
    Manifest(#[source] ManifestError),
    /// A collection elsewhere was about to delete some of what it consists of, each time.
    #[error("a collection is deleting what is stored; try again in some minutes ({0})")]
    Doomed(String),
    /// What it relies on may be gone by now.
    #[error("storing took {0:?}, which is too long next to collections; try again")]
    Late(Duration),
    /// It was stored and is deleted already.
    #[error("cannot open what was stored")]
    Open(#[source] OpenError),
}

/// A stored file. Name `id` among the roots of collections before `file` is
/// dropped, or within the grace.
#[derive(Clone)]
pub struct Written {
    /// What to open it by.
    pub id: ManifestId,
    /// The file, open.
    pub file: StoredFile,
    /// Its size in bytes.
    pub size: u64,
    /// Own chunks that the origin did not have, or not whole.
    pub chunks_new: u64,
    /// Their sealed bytes.
    pub bytes_new: u64,
    /// Own chunks that the origin had, and that were not stored again.
    pub chunks_present: u64,
    /// Their sealed bytes.
    pub bytes_present: u64,
    /// Chunks of the parent that it names.
    pub chunks_shared: u64,
    /// Bytes of its pages that lie there.
    pub bytes_shared: u64,
}

/// One write that is going on.
pub(crate) struct Draft {
    pub(crate) owner: Owner,
    pub(crate) keys: WritingKeys,
    pub(crate) writing: Arc<Writing>,
    /// What the origin has is not to be relied on, of these.
    pub(crate) suspects: Arc<Suspects>,
    /// What collections elsewhere had deleted before it began, where there are any.
    over: Option<Over>,
    began: Stopwatch,
}

impl ChunkStore {
    /// Stores a file for `owner`. Equal chunks under one key or salt are stored once;
    /// zero pages are not stored. Memory does not move, so its chunks are windows of
    /// 512 KiB. A file of unknown origin is cut where its pages say, so that it shares
    /// chunks with one that has some pages more or fewer.
    pub async fn write(
        &self,
        owner: &Owner,
        source: impl Into<Source>,
    ) -> Result<Written, WriteError> {
        let source = source.into();
        self.until_it_stays(|| self.write_once(owner, &source)).await
    }

    async fn write_once(&self, owner: &Owner, source: &Source) -> Result<Written, WriteError> {
        let draft = self.draft(owner).await?;
        let (size, windows) = scan(source).await?;
        let mut builder =
            ManifestBuilder::new(Kind::File, size, draft.keys.salt).map_err(WriteError::Build)?;
        let mut own = OwnChunks::new(self, &draft);
        let cuts = draft.keys.salt.map(|_| Cuts::under(&draft.keys.chunks));
        for window in windows {
            let (source, cuts_here) = (source.clone(), cuts.clone());
            let read = blocking(move || {
                let data = source.read_window(window, size)?;
                let ends = |cuts: &Cuts| {
                    data.chunks_exact(PAGE_BYTES).map(|page| cuts.end_behind(page)).collect()
                };
                let ends: Vec<bool> = cuts_here.as_ref().map(ends).unwrap_or_default();
                Ok((data, ends))
            });
            let (data, ends) = read.await.map_err(WriteError::Source)?;
            let first = window * CHUNK_PAGES as u32;
            for (page, data) in pages(first, &data) {
                if is_zero(data) {
                    continue;
                }
                own.add(page, data).await?;
                if ends.get((page - first) as usize) == Some(&true) {
                    own.cut().await?;
                }
            }
            if cuts.is_none() {
                // Windows are cut alike wherever they lie, so that equal ones meet.
                own.cut().await?;
            }
        }
        let stored = own.finish(&mut builder).await?;
        let manifest = builder.finish().map_err(WriteError::Build)?;
        self.finish(draft, manifest, stored).await
    }

    /// Stores a file again while a collection elsewhere was about to delete some of it: that
    /// may be gone.
    pub(crate) async fn until_it_stays<F>(
        &self,
        write: impl Fn() -> F,
    ) -> Result<Written, WriteError>
    where
        F: Future<Output = Result<Written, WriteError>>,
    {
        for _ in 1..WRITE_ATTEMPTS {
            match self.in_turn(&write).await {
                Err(WriteError::Doomed(name)) => {
                    let (origin, pace) = (&self.shared.levels.origin, Pace(self.shared.grace));
                    doomed::over(origin, pace, &name).await.map_err(WriteError::Origin)?;
                }
                written => return written,
            }
        }
        self.in_turn(&write).await
    }

    async fn in_turn<F>(&self, write: impl Fn() -> F) -> Result<Written, WriteError>
    where
        F: Future<Output = Result<Written, WriteError>>,
    {
        let _permit = self.shared.writes.acquire().await.expect("it is never closed");
        write().await
    }

    pub(crate) async fn draft(&self, owner: &Owner) -> Result<Draft, WriteError> {
        let began = Stopwatch::start();
        let keys = self.shared.keyring.writing_keys(owner).await.map_err(WriteError::Key)?;
        let (origin, pace) = (&self.shared.levels.origin, Pace(self.shared.grace));
        let over = match self.shared.is_shared {
            true => Some(Over::now(origin, pace).await.map_err(WriteError::Origin)?),
            false => None,
        };
        let suspects = Suspects::at(&self.shared.levels.origin).await;
        let suspects = Arc::new(suspects.map_err(WriteError::Origin)?);
        let (owner, writing) = (owner.clone(), self.shared.guards.write());
        Ok(Draft { owner, keys, writing, suspects, over, began })
    }

    /// Seals and stores the manifest of a file whose chunks are stored.
    pub(crate) async fn finish(
        &self,
        draft: Draft,
        manifest: Manifest,
        stored: Stored,
    ) -> Result<Written, WriteError> {
        let manifest = Arc::new(manifest);
        let unsealed = manifest.clone();
        let Draft { owner, keys, writing, suspects, over, began } = draft;
        let whose = owner.clone();
        let seal = blocking(move || seal_manifest(&whose, &keys.manifest, &unsealed));
        let (id, sealed) = seal.await.map_err(WriteError::Manifest)?;
        let (object, sealed) = (Object::Manifest(id), sealed.into());
        writing.protect(*object.hash()).await;
        // Stored even if it is there: a manifest's age is how long it was wanted.
        let put = self.shared.levels.origin.put(&object.path(), &sealed).await;
        put.map_err(WriteError::Origin)?;
        if suspects.has(&object) {
            let cleared = self.shared.levels.clear(object.hash()).await;
            cleared.map_err(WriteError::Origin)?;
        }
        if let Some(over) = over {
            let doomed = over.other_with(&self.shared.levels.origin, &writing.names()).await;
            if let Some(name) = doomed.map_err(WriteError::Origin)? {
                return Err(WriteError::Doomed(name));
            }
            let took = began.elapsed();
            if took > Pace(self.shared.grace).work_max() {
                return Err(WriteError::Late(took));
            }
        }
        self.shared.levels.keep(object, sealed).await;
        // Protected, so nothing has doomed it.
        let lease = self.shared.guards.lease(id).expect("a protected manifest stays");
        let file = self.opened(&owner, id, manifest, lease);
        let shared = file.chunks().shared;
        let Stored { chunks_new, bytes_new, chunks_present, bytes_present } = stored;
        Ok(Written {
            id,
            size: file.size(),
            chunks_new,
            bytes_new,
            chunks_present,
            bytes_present,
            chunks_shared: shared.chunks,
            bytes_shared: shared.bytes,
            file,
        })
    }
}

/// A source's size, and its windows with data.
pub(crate) async fn scan(source: &Source) -> Result<(u64, Vec<u32>), WriteError> {
    let source = source.clone();
    let scan = move || {
        let size = source.size()?;
        // What is too large is refused by its size; no list of its windows is made.
        match size <= hearth_chunk_format::FILE_BYTES_MAX {
            true => Ok((size, source.windows(size)?)),
            false => Ok((size, Vec::new())),
        }
    };
    blocking(scan).await.map_err(WriteError::Source)
}
