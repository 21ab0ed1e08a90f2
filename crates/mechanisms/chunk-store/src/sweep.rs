//! Deleting what is not to stay: manifests, then chunks, some at a time.

use crate::among::Pace;
use crate::bounds::{DELETE_PARALLEL, DOOMED_MAX};
use crate::collect::{CollectError, Collected};
use crate::doomed::Doomed;
use crate::guards::Collecting;
use crate::mark::Stays;
use crate::metrics;
use crate::object::{CHUNKS, Object};
use crate::origin::age;
use crate::stopwatch::Stopwatch;
use crate::store::ChunkStore;
use crate::suspects::Suspects;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One collection's deletions.
pub(crate) struct Sweep<'a> {
    pub(crate) store: &'a ChunkStore,
    pub(crate) collecting: Collecting,
    pub(crate) stays: Stays,
    pub(crate) grace: Duration,
    /// Others use the origin, too, at this pace.
    pub(crate) among: Option<Pace>,
    /// When it began.
    pub(crate) began: Stopwatch,
}

/// Deleted, of some objects.
#[derive(Default)]
struct Gone {
    count: AtomicU64,
    bytes: AtomicU64,
}

impl Sweep<'_> {
    /// Deletes all that nothing marked.
    pub(crate) async fn run(self) -> Result<Collected, CollectError> {
        let mut collected = Collected::default();
        let manifests: Vec<_> = self.collecting.doomed();
        for some in manifests.chunks(DOOMED_MAX) {
            let some: Vec<_> = some.iter().map(|id| (Object::Manifest(*id), 0)).collect();
            collected.manifests_swept += self.delete_all(&some).await?.count.into_inner();
        }
        let mut chunks = self.store.shared.levels.origin.list(CHUNKS);
        let mut dead = Vec::new();
        while let Some(meta) = chunks.next().await {
            let meta = meta.map_err(CollectError::Origin)?;
            let Some(name) = name_of(&meta) else {
                tracing::warn!(path = %meta.location, "no chunk has such a name");
                continue;
            };
            let object = Object::Chunk(name);
            if self.stays.live.chunks.contains(object.hash()) {
                collected.chunks_live += 1;
            } else if self.stays.waiting.chunks.contains(object.hash()) || age(&meta) < self.grace {
                collected.wait(1, meta.size);
            } else {
                dead.push((object, meta.size));
            }
            if dead.len() >= DOOMED_MAX {
                self.sweep_chunks(&mut dead, &mut collected).await?;
            }
        }
        self.sweep_chunks(&mut dead, &mut collected).await?;
        self.forget_suspects().await?;
        Ok(collected)
    }

    async fn sweep_chunks(
        &self,
        dead: &mut Vec<(Object, u64)>,
        collected: &mut Collected,
    ) -> Result<(), CollectError> {
        let Gone { count, bytes } = self.delete_all(dead).await?;
        let (count, bytes) = (count.into_inner(), bytes.into_inner());
        collected.chunks_swept += count;
        collected.bytes_swept += bytes;
        let all: u64 = dead.iter().map(|(_, size)| size).sum();
        collected.wait(dead.len() as u64 - count, all - bytes);
        dead.clear();
        Ok(())
    }

    /// Deletes these, but for those that a write uses.
    async fn delete_all(&self, dead: &[(Object, u64)]) -> Result<Gone, CollectError> {
        let gone = Gone::default();
        if dead.is_empty() {
            return Ok(gone);
        }
        let names = dead.iter().map(|(object, _)| *object.hash()).collect();
        let origin = &self.store.shared.levels.origin;
        let doomed = match self.among {
            // What began to be stored meanwhile may rely on what was young then.
            Some(pace) if self.began.elapsed() > pace.work_max() => return Err(CollectError::Late),
            Some(pace) => Some(Doomed::write_down(origin, pace, &names).await?),
            None => None,
        };
        stream::iter(dead)
            .map(Ok)
            .try_for_each_concurrent(DELETE_PARALLEL, async |(object, size)| {
                if self.delete(*object, doomed.as_ref()).await? {
                    gone.count.fetch_add(1, Ordering::Relaxed);
                    gone.bytes.fetch_add(*size, Ordering::Relaxed);
                }
                Ok(())
            })
            .await?;
        if let Some(doomed) = doomed {
            doomed.done().await?;
        }
        Ok(gone)
    }

    /// Deletes an object unless a write uses it; whether it did.
    async fn delete(
        &self,
        object: Object,
        doomed: Option<&Doomed<'_>>,
    ) -> Result<bool, CollectError> {
        let Some(_deleting) = self.collecting.delete(*object.hash()) else { return Ok(false) };
        let levels = &self.store.shared.levels;
        if let Some(doomed) = doomed {
            let now = levels.origin.head(&object.path()).await.map_err(CollectError::Origin)?;
            if now.is_none_or(|meta| age(&meta) < self.grace) {
                return Ok(false);
            }
            if doomed.is_over() {
                return Err(CollectError::Late);
            }
        }
        levels.origin.delete(&object.path()).await.map_err(CollectError::Origin)?;
        levels.forget(object).await;
        metrics::swept();
        Ok(true)
    }

    /// Deletes the notes about what nothing needs.
    async fn forget_suspects(&self) -> Result<(), CollectError> {
        let levels = &self.store.shared.levels;
        let Stays { live, waiting } = &self.stays;
        // What others stored meanwhile is not marked; a note about that is young.
        let grace = if self.among.is_some() { self.grace } else { Duration::ZERO };
        let suspects = Suspects::older(&levels.origin, grace).await;
        let suspects = suspects.map_err(CollectError::Origin)?;
        for hash in suspects.without(|hash| live.has(hash) || waiting.has(hash)) {
            levels.clear(&hash).await.map_err(CollectError::Origin)?;
        }
        Ok(())
    }
}

impl Collected {
    /// So many chunks wait for a later collection.
    fn wait(&mut self, chunks: u64, bytes: u64) {
        self.chunks_live += chunks;
        self.chunks_waiting += chunks;
        self.bytes_waiting += bytes;
    }
}

/// What an object at the origin is called, if it is one of ours.
pub(crate) fn name_of<T: std::str::FromStr>(meta: &ObjectMeta) -> Option<T> {
    meta.location.filename()?.parse().ok()
}
