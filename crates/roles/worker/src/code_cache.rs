//! Function images on the worker's disk: fetched from the object store once,
//! bounded, least recently used out first.

use futures_util::StreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path as ObjectPath};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

/// Why an image could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("the image {0} is not in the object store, or cannot be read")]
    Object(String, #[source] object_store::Error),
    #[error("the image cannot be written to the worker's disk")]
    Disk(#[source] std::io::Error),
}

/// A local image. While it is held its file stays.
#[derive(Debug)]
pub(crate) struct LocalImage {
    path: PathBuf,
    bytes: u64,
}

impl LocalImage {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// A slot per image; its lock makes concurrent fetches one.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<LocalImage>>>>;

/// The cache. It starts empty: what an earlier process left is removed.
pub(crate) struct CodeCache {
    dir: PathBuf,
    bytes_max: u64,
    objects: Arc<dyn ObjectStore>,
    slots: Mutex<HashMap<String, (Slot, Instant)>>,
    serial: AtomicU64,
}

impl CodeCache {
    pub(crate) fn open(
        dir: PathBuf,
        bytes_max: u64,
        objects: Arc<dyn ObjectStore>,
    ) -> std::io::Result<Self> {
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir, bytes_max, objects, slots: Mutex::default(), serial: AtomicU64::new(0) })
    }

    /// The image stored under `object`.
    pub(crate) async fn get(&self, object: &str) -> Result<Arc<LocalImage>, FetchError> {
        let slot = {
            let mut slots = self.slots.lock();
            let (slot, used) =
                slots.entry(object.to_owned()).or_insert_with(|| (Slot::default(), Instant::now()));
            *used = Instant::now();
            Arc::clone(slot)
        };
        let mut held = slot.lock().await;
        if let Some(image) = held.as_ref() {
            return Ok(Arc::clone(image));
        }
        let image = Arc::new(self.fetch(object).await?);
        *held = Some(Arc::clone(&image));
        drop(held);
        self.trim().await;
        Ok(image)
    }

    async fn fetch(&self, object: &str) -> Result<LocalImage, FetchError> {
        // A name of its own for each fetch: one that is still to be removed, or
        // still open in a VMM, is never written to again.
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{serial}.erofs"));
        let result = self.copy(object, &path).await;
        if result.is_err() {
            // A partial file must not be taken for an image; it may not exist.
            tokio::fs::remove_file(&path).await.ok();
        }
        Ok(LocalImage { bytes: result?, path })
    }

    async fn copy(&self, object: &str, path: &Path) -> Result<u64, FetchError> {
        let in_store = |e| FetchError::Object(object.to_owned(), e);
        let mut body =
            self.objects.get(&ObjectPath::from(object)).await.map_err(in_store)?.into_stream();
        let mut file = tokio::fs::File::create(path).await.map_err(FetchError::Disk)?;
        let mut bytes = 0;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(in_store)?;
            file.write_all(&piece).await.map_err(FetchError::Disk)?;
            bytes += piece.len() as u64;
        }
        file.flush().await.map_err(FetchError::Disk)?;
        Ok(bytes)
    }

    /// Drops the images used longest ago, and in use by no sandbox, until what
    /// is left fits.
    async fn trim(&self) {
        let doomed: Vec<Arc<LocalImage>> = {
            let mut slots = self.slots.lock();
            let mut held: Vec<(Instant, String, u64)> = slots
                .iter()
                .filter_map(|(key, (slot, used))| {
                    Some((*used, key.clone(), slot.try_lock().ok()?.as_ref()?.bytes))
                })
                .collect();
            held.sort();
            let mut total: u64 = held.iter().map(|h| h.2).sum();
            let mut doomed = Vec::new();
            for (_, key, bytes) in held {
                if total <= self.bytes_max {
                    break;
                }
                // Nobody else can come by the slot while the table is locked; a
                // clone of it elsewhere means that somebody is about to use it.
                let unused = slots.get(&key).is_some_and(|(slot, _)| {
                    Arc::strong_count(slot) == 1
                        && slot.try_lock().is_ok_and(|image| {
                            image.as_ref().is_some_and(|i| Arc::strong_count(i) == 1)
                        })
                });
                if unused && let Some((slot, _)) = slots.remove(&key) {
                    total -= bytes;
                    doomed.extend(slot.try_lock().ok().and_then(|mut image| image.take()));
                }
            }
            doomed
        };
        for image in doomed {
            if let Err(error) = tokio::fs::remove_file(&image.path).await {
                tracing::warn!(path = %image.path.display(), %error, "cannot remove a cached image");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    async fn cache(bytes_max: u64) -> (tempfile::TempDir, CodeCache) {
        let dir = tempfile::tempdir().unwrap();
        let objects = InMemory::new();
        for name in ["a", "b", "c"] {
            objects.put(&ObjectPath::from(name), vec![0u8; 100].into()).await.unwrap();
        }
        let cache = CodeCache::open(dir.path().join("c"), bytes_max, Arc::new(objects)).unwrap();
        (dir, cache)
    }

    #[tokio::test]
    async fn the_least_recently_used_image_that_nobody_holds_goes_first() {
        let (_dir, cache) = cache(250).await;
        let a = cache.get("a").await.unwrap();
        let b_path = cache.get("b").await.unwrap().path().to_owned();
        cache.get("c").await.unwrap();
        assert!(a.path().exists(), "held");
        assert!(!b_path.exists(), "least recently used");
        assert_eq!(std::fs::read_dir(&cache.dir).unwrap().count(), 2);
    }

    #[tokio::test]
    async fn a_failed_fetch_leaves_nothing_and_can_be_tried_again() {
        let (_dir, cache) = cache(1000).await;
        assert!(matches!(cache.get("x").await, Err(FetchError::Object(..))));
        assert_eq!(std::fs::read_dir(&cache.dir).unwrap().count(), 0);
        cache.objects.put(&ObjectPath::from("x"), vec![1u8].into()).await.unwrap();
        assert!(cache.get("x").await.unwrap().path().exists());
    }
}
