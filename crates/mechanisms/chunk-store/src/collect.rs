//! Giving space back, by generations of roots; nothing is counted.
//!
//! ```text
//!  roots given now ──────────┐
//!  roots of the last time ───┤                ┌─► manifests, then chunks, that
//!  manifests younger than ───┼─► mark chunks ─┤   nothing marked, that are older
//!    the grace               │                │   than the grace, and that no write
//!  files open here, also ────┘                └─► stored or found since the start
//!    those closed meanwhile
//! ```
//!
//! So a file goes when it was no root for two collections in a row, and nobody
//! here has it open. A crash at any point leaves garbage to the next collection,
//! and never a manifest without its chunks: manifests go first.

use crate::blocking::join;
use crate::bounds::DELETE_PARALLEL;
use crate::fetch::ReadError;
use crate::file::OpenError;
use crate::generation::Generation;
use crate::guards::{Collecting, Hold};
use crate::keyring::KeyringError;
use crate::metrics;
use crate::object::{CHUNKS, MANIFESTS, Object, WantedManifest};
use crate::origin::age;
use crate::store::ChunkStore;
use crate::suspects::Suspects;
use futures_util::{StreamExt, TryStreamExt, stream};
use hearth_chunk_format::{Manifest, ManifestId, Owner};
use object_store::ObjectMeta;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Chunks that it left for a reason: a root, the grace, or their use.
    pub chunks_live: u64,
    /// Of them, those that no root and no open file needs: they are young, or were
    /// needed the last time, and go later.
    pub chunks_waiting: u64,
    /// Their sealed bytes.
    pub bytes_waiting: u64,
    /// Chunks deleted.
    pub chunks_swept: u64,
    /// Their sealed bytes.
    pub bytes_swept: u64,
    /// Manifests deleted.
    pub manifests_swept: u64,
}

/// A collection stopped. What it did not delete is left to the next one.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// An active root cannot be read, so what it needs is not known. Nothing
    /// was deleted.
    #[error("cannot tell what the root {0} of {1} needs; nothing was deleted")]
    Root(ManifestId, Owner, #[source] OpenError),
    /// The last generation's record is damaged, so its roots are not known. A
    /// new record was begun, and nothing was deleted.
    #[error("the record of the last generation is damaged; nothing was deleted this time")]
    Record,
    /// The origin fails.
    #[error("cannot list, read or delete at the origin")]
    Origin(#[source] ReadError),
}

/// What is to stay.
#[derive(Default)]
struct Live {
    manifests: HashSet<ManifestId>,
    chunks: HashSet<[u8; 32]>,
}

/// What is to stay, by why.
struct Stays {
    /// Roots and open files need it.
    live: Live,
    /// Nothing does any more, for all that is known here.
    waiting: Live,
}

impl ChunkStore {
    /// Deletes what no root needs. One collection runs at a time, in one process
    /// per origin. It goes on when the caller stops waiting: a deletion that was
    /// begun has to be seen through.
    pub async fn collect(
        &self,
        roots: BTreeSet<(Owner, ManifestId)>,
    ) -> Result<Collected, CollectError> {
        self.collect_older(roots, self.shared.grace).await
    }

    /// The same with another grace. Any will do for what this process writes, if a
    /// [`Hold`] was taken before the roots were found out, and who writes a file has it
    /// open until it is named among them.
    pub async fn collect_older(
        &self,
        roots: BTreeSet<(Owner, ManifestId)>,
        grace: Duration,
    ) -> Result<Collected, CollectError> {
        let store = self.clone();
        let run = async move { store.run_collection(roots, grace).await };
        join(hearth_tasks::spawn("collect chunks", run)).await
    }

    /// From now on all that is open, or is stored, counts as in use.
    pub fn hold(&self) -> Hold {
        self.shared.guards.hold()
    }

    async fn run_collection(
        &self,
        roots: BTreeSet<(Owner, ManifestId)>,
        grace: Duration,
    ) -> Result<Collected, CollectError> {
        let _one_at_a_time = self.shared.collector.lock().await;
        let collecting = self.shared.guards.collect();
        let origin = &self.shared.levels.origin;
        let last = Generation::last(origin).await.map_err(CollectError::Origin)?;

        let mut live = Live::default();
        for (owner, id) in &roots {
            let root = self.mark(&mut live, owner, id).await;
            if let Err(OpenError::Manifest(
                _,
                ReadError::Missing(object) | ReadError::Corrupt(object),
            )) = &root
            {
                // Who has it open may put it back.
                self.shared.levels.suspect(object).await;
            }
            root.map_err(|error| CollectError::Root(*id, owner.clone(), error))?;
        }
        let number = last.as_ref().map_or(0, |last| last.number) + 1;
        let mut waiting = Live::default();
        for (owner, id) in last.iter().flat_map(|last| last.roots.difference(&roots)) {
            self.mark_if_there(&mut waiting, owner, id).await?;
        }
        let mut stays = Stays { live, waiting };
        let dead = self.mark_young(&mut stays, grace).await?;
        let Stays { mut live, waiting } = stays;
        let in_use = collecting.doom(dead);
        in_use.open.iter().for_each(|manifest| live.add(manifest));
        for id in in_use.opening {
            self.mark_unowned(&mut live, id).await?;
        }
        let is_damaged = last.is_none();
        Generation { number, roots }.commit(origin).await.map_err(CollectError::Origin)?;
        if is_damaged {
            return Err(CollectError::Record);
        }
        self.sweep(&collecting, &Stays { live, waiting }, grace).await
    }

    /// Marks what a manifest needs.
    async fn mark(&self, live: &mut Live, owner: &Owner, id: &ManifestId) -> Result<(), OpenError> {
        if live.manifests.contains(id) {
            return Ok(());
        }
        let key = self.shared.keyring.manifest_key(owner).await;
        let key = key.map_err(|error| OpenError::Key(*id, Arc::new(error)))?;
        let wanted = WantedManifest { id: *id, owner: owner.clone(), key };
        let manifest = self.shared.levels.fetch(&wanted).await;
        live.add(&manifest.map_err(|error| OpenError::Manifest(*id, error))?);
        live.manifests.insert(*id);
        Ok(())
    }

    /// The same for a manifest that nobody promised: one that cannot be opened
    /// needs nothing.
    async fn mark_if_there(
        &self,
        live: &mut Live,
        owner: &Owner,
        id: &ManifestId,
    ) -> Result<(), CollectError> {
        match self.mark(live, owner, id).await {
            Ok(()) | Err(OpenError::Manifest(_, ReadError::Missing(_))) => Ok(()),
            Err(OpenError::Manifest(_, error @ ReadError::Unreachable(..))) => {
                Err(CollectError::Origin(error))
            }
            // A key service, or whoever keeps the keys, may answer another time.
            Err(OpenError::Key(_, ref error))
                if matches!(**error, KeyringError::Master(..) | KeyringError::Store(..)) =>
            {
                Err(CollectError::Root(*id, owner.clone(), OpenError::Key(*id, error.clone())))
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(%id, %owner, error, "a manifest that is no root cannot be read");
                Ok(())
            }
        }
    }

    /// The same for a manifest whose owner is not known: it says so itself.
    async fn mark_unowned(&self, live: &mut Live, id: ManifestId) -> Result<(), CollectError> {
        let wanted = crate::object::UnownedManifest(id);
        match self.shared.levels.fetch(&wanted).await {
            Ok(owner) => self.mark_if_there(live, &owner, &id).await,
            Err(error @ ReadError::Unreachable(..)) => Err(CollectError::Origin(error)),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(%id, error, "a manifest that is no root cannot be read");
                Ok(())
            }
        }
    }

    /// Marks what young manifests need; returns those that are old and unmarked.
    async fn mark_young(
        &self,
        stays: &mut Stays,
        grace: Duration,
    ) -> Result<Vec<ManifestId>, CollectError> {
        let (mut young, mut dead) = (Vec::new(), Vec::new());
        let mut listed = self.shared.levels.origin.list(MANIFESTS);
        while let Some(meta) = listed.next().await {
            let meta = meta.map_err(CollectError::Origin)?;
            match name_of(&meta) {
                Some(id) if stays.live.manifests.contains(&id) => {}
                Some(id) if stays.waiting.manifests.contains(&id) => {}
                Some(id) if age(&meta) < grace => young.push(id),
                Some(id) => dead.push(id),
                // Not ours to delete.
                None => tracing::warn!(path = %meta.location, "no manifest has such a name"),
            }
        }
        for id in young {
            self.mark_unowned(&mut stays.waiting, id).await?;
        }
        Ok(dead)
    }

    async fn sweep(
        &self,
        collecting: &Collecting,
        stays: &Stays,
        grace: Duration,
    ) -> Result<Collected, CollectError> {
        let [manifests, chunks, bytes, kept, waiting, waiting_bytes] =
            [const { AtomicU64::new(0) }; 6];
        stream::iter(collecting.doomed())
            .map(Ok)
            .try_for_each_concurrent(DELETE_PARALLEL, async |id| {
                let deleted = self.delete(collecting, Object::Manifest(id)).await?;
                manifests.fetch_add(deleted.into(), Ordering::Relaxed);
                Ok(())
            })
            .await?;
        self.shared
            .levels
            .origin
            .list(CHUNKS)
            .map_err(CollectError::Origin)
            .try_for_each_concurrent(DELETE_PARALLEL, async |meta| {
                let Some(name) = name_of(&meta) else {
                    tracing::warn!(path = %meta.location, "no chunk has such a name");
                    return Ok(());
                };
                let object = Object::Chunk(name);
                if stays.live.chunks.contains(object.hash()) {
                    kept.fetch_add(1, Ordering::Relaxed);
                } else if stays.waiting.chunks.contains(object.hash())
                    || age(&meta) < grace
                    || !self.delete(collecting, object).await?
                {
                    kept.fetch_add(1, Ordering::Relaxed);
                    waiting.fetch_add(1, Ordering::Relaxed);
                    waiting_bytes.fetch_add(meta.size, Ordering::Relaxed);
                } else {
                    chunks.fetch_add(1, Ordering::Relaxed);
                    bytes.fetch_add(meta.size, Ordering::Relaxed);
                }
                Ok(())
            })
            .await?;
        self.forget_suspects(stays).await?;
        Ok(Collected {
            chunks_live: kept.into_inner(),
            chunks_waiting: waiting.into_inner(),
            bytes_waiting: waiting_bytes.into_inner(),
            chunks_swept: chunks.into_inner(),
            bytes_swept: bytes.into_inner(),
            manifests_swept: manifests.into_inner(),
        })
    }

    /// Deletes the notes about what nothing needs.
    async fn forget_suspects(&self, stays: &Stays) -> Result<(), CollectError> {
        let levels = &self.shared.levels;
        let suspects = Suspects::at(&levels.origin).await.map_err(CollectError::Origin)?;
        for hash in suspects.without(|hash| stays.live.has(hash) || stays.waiting.has(hash)) {
            levels.clear(&hash).await.map_err(CollectError::Origin)?;
        }
        Ok(())
    }

    /// Deletes an object unless a write uses it; whether it did.
    async fn delete(&self, collecting: &Collecting, object: Object) -> Result<bool, CollectError> {
        let Some(_deleting) = collecting.delete(*object.hash()) else { return Ok(false) };
        let levels = &self.shared.levels;
        levels.origin.delete(&object.path()).await.map_err(CollectError::Origin)?;
        levels.forget(object).await;
        metrics::swept();
        Ok(true)
    }
}

impl Live {
    fn has(&self, hash: &[u8; 32]) -> bool {
        self.chunks.contains(hash) || self.manifests.contains(&ManifestId::from_bytes(*hash))
    }

    fn add(&mut self, manifest: &Manifest) {
        self.chunks.extend(manifest.chunks().iter().map(|named| *named.chunk.name.as_bytes()));
    }
}

/// What an object at the origin is called, if it is one of ours.
fn name_of<T: std::str::FromStr>(meta: &ObjectMeta) -> Option<T> {
    meta.location.filename()?.parse().ok()
}
