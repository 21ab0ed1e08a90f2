//! The files that are served, by their ids. An id is an inode's number too, and
//! no two files of one server ever have the same.

use crate::CloneId;
use crate::paged_file::PagedFile;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Files of one server at a time: memory and a few disks for each sandbox that
/// a worker of the largest hosts could hold.
pub(crate) const FILES_MAX: usize = 4096;
/// The first file's id; the root directory's is 1.
const FIRST: u64 = 2;

pub(crate) struct Files {
    files: RwLock<HashMap<CloneId, Arc<PagedFile>>>,
    next: AtomicU64,
    /// How often the kernel was told of a file and has not forgotten it: as long
    /// as it knows a file it may hold pages of it.
    known: Mutex<HashMap<CloneId, u64>>,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self { files: RwLock::default(), next: AtomicU64::new(FIRST), known: Mutex::default() }
    }

    pub(crate) fn next_id(&self) -> CloneId {
        CloneId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn get(&self, id: CloneId) -> Option<Arc<PagedFile>> {
        self.files.read().get(&id).cloned()
    }

    /// Adds a file; false if there are too many.
    pub(crate) fn add(&self, file: Arc<PagedFile>) -> bool {
        let mut files = self.files.write();
        let room = files.len() < FILES_MAX;
        if room {
            files.insert(file.id(), file);
        }
        room
    }

    pub(crate) fn told(&self, id: CloneId) {
        *self.known.lock().entry(id).or_default() += 1;
    }

    pub(crate) fn forgotten(&self, id: CloneId, times: u64) {
        if let Entry::Occupied(mut known) = self.known.lock().entry(id) {
            *known.get_mut() = known.get().saturating_sub(times);
            if *known.get() == 0 {
                known.remove();
            }
        }
    }

    /// Files that the kernel knows.
    pub(crate) fn known(&self) -> u64 {
        self.known.lock().len() as u64
    }

    pub(crate) fn remove(&self, id: CloneId) -> Option<Arc<PagedFile>> {
        self.files.write().remove(&id)
    }
}
