//! The cache on disk: sealed objects in files named by their hash, at most so
//! many bytes, least recently used out first.
//!
//! A file appears by a rename, so it is whole unless the machine crashed: then
//! it may hold anything, which its name will tell. Hence nothing is synced. The
//! order of use survives a restart in the files' times. The cache never fails a
//! read: when the disk is full or broken, objects are served and not kept.

use crate::blocking::blocking;
use crate::metrics;
use crate::object::{Level, Object, Sealed, Unfit};
use crate::options::DiskOptions;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

type Hash = [u8; 32];

/// What a file is called until it is whole.
const STAGED: &str = "new";

/// A cache on disk.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Inner>);

struct Inner {
    options: DiskOptions,
    index: Mutex<Index>,
    staged: AtomicU64,
    /// The trouble with the disk was said; until it takes something again.
    said: AtomicBool,
}

#[derive(Default)]
struct Index {
    files: HashMap<Hash, Kept>,
    by_use: BTreeMap<u64, Hash>,
    bytes: u64,
    clock: u64,
}

struct Kept {
    bytes: u64,
    used: u64,
}

/// What a look into the cache found.
pub(crate) enum Found<T> {
    Whole(Bytes, T),
    Damaged,
    Nothing,
}

impl Disk {
    /// Takes over what a directory holds.
    pub(crate) fn open(options: DiskOptions) -> io::Result<Self> {
        std::fs::create_dir_all(&options.dir)?;
        let mut found: Vec<(SystemTime, Hash, u64)> = Vec::new();
        for entry in std::fs::read_dir(&options.dir)? {
            let entry = entry?;
            let mut hash = [0; 32];
            let name = entry.file_name();
            if hex::decode_to_slice(name.as_encoded_bytes(), &mut hash).is_ok() {
                let meta = entry.metadata()?;
                found.push((meta.modified()?, hash, meta.len()));
            } else if entry.path().extension().is_some_and(|e| e == STAGED) {
                std::fs::remove_file(entry.path())?;
            }
        }
        found.sort_unstable();
        let mut index = Index::default();
        for (_, hash, bytes) in found {
            index.insert(hash, bytes);
        }
        let cache = Inner {
            index: Mutex::new(index),
            staged: AtomicU64::new(0),
            said: AtomicBool::new(false),
            options,
        };
        cache.evict(0);
        Ok(Self(Arc::new(cache)))
    }

    /// Reads, checks and opens an object. A damaged one is removed.
    pub(crate) async fn fetch<S: Sealed>(&self, wanted: &S) -> Found<Result<S::Opened, Unfit>> {
        let (cache, wanted) = (self.0.clone(), wanted.clone());
        blocking(move || {
            let object = wanted.object();
            let Some(sealed) = cache.read(&object) else { return Found::Nothing };
            match wanted.open(&sealed) {
                Err(Unfit::Damaged) => {
                    cache.remove(object.hash());
                    metrics::corrupt(Level::Disk);
                    tracing::warn!(%object, "the copy on disk is corrupt; it is removed");
                    Found::Damaged
                }
                opened => Found::Whole(sealed.into(), opened),
            }
        })
        .await
    }

    /// Keeps an object, if the disk takes it; whether it does.
    pub(crate) async fn keep(&self, object: Object, sealed: Bytes) -> bool {
        let cache = self.0.clone();
        blocking(move || cache.keep(&object, &sealed)).await
    }

    /// Removes an object, if it is there.
    pub(crate) async fn remove(&self, object: Object) {
        let cache = self.0.clone();
        blocking(move || cache.remove(object.hash())).await;
    }
}

impl Inner {
    fn path(&self, hash: &Hash) -> PathBuf {
        self.options.dir.join(hex::encode(hash))
    }

    fn read(&self, object: &Object) -> Option<Vec<u8>> {
        let hash = object.hash();
        if !self.index.lock().touch(hash) {
            return None;
        }
        match read_and_touch(&self.path(hash)) {
            Ok(sealed) => Some(sealed),
            Err(error) => {
                self.index.lock().forget(hash);
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%object, %error, "a copy on disk cannot be read");
                }
                None
            }
        }
    }

    fn keep(&self, object: &Object, sealed: &[u8]) -> bool {
        let (hash, bytes) = (object.hash(), sealed.len() as u64);
        if bytes > self.options.bytes || self.index.lock().touch(hash) {
            return bytes <= self.options.bytes;
        }
        self.evict(bytes);
        match self.write(hash, sealed) {
            Ok(()) => {
                metrics::disk_bytes(self.index.lock().insert(*hash, bytes));
                self.said.store(false, Ordering::Relaxed);
                true
            }
            Err(error) => {
                metrics::not_kept();
                if !self.said.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        %error,
                        dir = %self.options.dir.display(),
                        "the chunk cache cannot write; chunks are served and not kept"
                    );
                }
                false
            }
        }
    }

    fn write(&self, hash: &Hash, sealed: &[u8]) -> io::Result<()> {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        let staged = self.options.dir.join(format!("{number}.{STAGED}"));
        let written = std::fs::write(&staged, sealed)
            .and_then(|()| std::fs::rename(&staged, self.path(hash)));
        if written.is_err() {
            // On a full disk even this half would be in the way. What cannot be
            // removed now is removed at the next start.
            let _ = std::fs::remove_file(&staged);
        }
        written
    }

    /// Makes room for `bytes`.
    fn evict(&self, bytes: u64) {
        loop {
            let mut index = self.index.lock();
            if index.bytes + bytes <= self.options.bytes {
                return;
            }
            let Some((_, hash)) = index.by_use.first_key_value() else { return };
            let hash = *hash;
            index.forget(&hash);
            drop(index);
            self.unlink(&hash);
        }
    }

    fn remove(&self, hash: &Hash) {
        if self.index.lock().forget(hash) {
            self.unlink(hash);
        }
    }

    fn unlink(&self, hash: &Hash) {
        match std::fs::remove_file(self.path(hash)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "cannot remove a chunk from the cache");
            }
            _ => {}
        }
    }
}

impl Index {
    /// Adds a file as the one used last; the bytes of all.
    fn insert(&mut self, hash: Hash, bytes: u64) -> u64 {
        self.forget(&hash);
        self.clock += 1;
        self.files.insert(hash, Kept { bytes, used: self.clock });
        self.by_use.insert(self.clock, hash);
        self.bytes += bytes;
        self.bytes
    }

    /// Makes a file the one used last, if it is there; whether it is.
    fn touch(&mut self, hash: &Hash) -> bool {
        let Some(bytes) = self.files.get(hash).map(|kept| kept.bytes) else { return false };
        self.insert(*hash, bytes);
        true
    }

    fn forget(&mut self, hash: &Hash) -> bool {
        let Some(kept) = self.files.remove(hash) else { return false };
        self.by_use.remove(&kept.used);
        self.bytes -= kept.bytes;
        true
    }
}

/// Reads a file and notes in its time that it was used. The note may fail (the
/// disk may have become read-only): a start later evicts in a worse order.
fn read_and_touch(path: &Path) -> io::Result<Vec<u8>> {
    use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
    let mut file = File::open(path)?;
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let _ = rustix::fs::futimens(&file, &Timestamps { last_access: now, last_modification: now });
    let mut sealed = Vec::with_capacity(file.metadata()?.len() as usize);
    io::Read::read_to_end(&mut file, &mut sealed)?;
    Ok(sealed)
}
