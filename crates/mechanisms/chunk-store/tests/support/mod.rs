//! A store to test, with an origin that can be told to misbehave.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    reason = "each test uses some of it"
)]

mod origin;

pub use origin::{Faulty, PLENTY};

use hearth_chunk_store::{
    ChunkStore, DiskOptions, Keyring, ManifestId, Options, Owner, PAGE_BYTES, StoredFile,
};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub struct Fixture {
    pub dir: TempDir,
    pub origin: Arc<Faulty>,
    pub options: Options,
}

impl Fixture {
    /// A cache on disk, and no grace.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = DiskOptions { dir: dir.path().join("cache"), bytes: 64 << 20 };
        let options = Options {
            memory_bytes: 64 << 20,
            disk: Some(disk),
            grace: Duration::ZERO,
            is_shared: false,
            origin_wait: Duration::from_secs(10),
        };
        Self { dir, origin: Arc::default(), options }
    }

    pub fn keys(&self) -> PathBuf {
        self.dir.path().join("keyring")
    }

    pub fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// A process of its own over the same origin, keys and cache.
    pub async fn store(&self) -> ChunkStore {
        let keyring = Keyring::local(&self.keys()).await.unwrap();
        ChunkStore::new(self.origin.clone(), keyring, self.options.clone()).unwrap()
    }
}

pub fn account(number: u8) -> Owner {
    format!("account/{number:012}").parse().unwrap()
}

pub fn unknown(number: u8) -> Owner {
    format!("unknown/{number:012}").parse().unwrap()
}

pub fn layer() -> Owner {
    "layer/python3.13".parse().unwrap()
}

/// A file of pages, each filled with its number: 0 is a page of zeros.
pub fn file_of(pages: &[u32]) -> Vec<u8> {
    let page = |number: &u32| number.to_le_bytes().repeat(PAGE_BYTES / 4);
    pages.iter().flat_map(page).collect()
}

pub async fn whole(file: &StoredFile) -> Vec<u8> {
    let mut out = Vec::new();
    while (out.len() as u64) < file.size() {
        let read = file.read_at(out.len() as u64, 1 << 20).await.unwrap();
        assert!(!read.is_empty());
        out.extend_from_slice(&read);
    }
    out
}

pub fn roots(of: impl IntoIterator<Item = (Owner, ManifestId)>) -> BTreeSet<(Owner, ManifestId)> {
    of.into_iter().collect()
}
