//! Snapshots in a directory of their own, whose objects can be made to look old.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test uses some of it")]

mod crashing;
pub mod far;
pub mod served;

pub use crashing::Crashing;

use bytes::Bytes;
use hearth_chunk_store::{ChunkStore, Keyring, ManifestId, Options, PAGE_BYTES, StoredFile};
use hearth_snapshot_store::{About, Captured, LayerName, Name, SnapshotStore, Stored};
use hearth_types::{AccountId, SnapshotId};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// Longer than any grace here.
const LONG: Duration = Duration::from_secs(30 * 24 * 3600);

pub struct Fixture {
    dir: TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("objects")).unwrap();
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    fn objects_dir(&self) -> PathBuf {
        self.path().join("objects")
    }

    /// A process of its own over the same files.
    pub async fn store(&self) -> SnapshotStore {
        SnapshotStore::new(chunks(self.path(), local(self.path())).await, local(self.path()))
    }

    /// The same, of a process that dies after so many writes.
    pub async fn crashing(&self, writes: u64) -> SnapshotStore {
        let objects: Arc<dyn ObjectStore> = Arc::new(Crashing::over(local(self.path()), writes));
        SnapshotStore::new(chunks(self.path(), objects.clone()).await, objects)
    }

    /// Files at the origin, below one of its folders.
    pub fn files(&self, under: &str) -> Vec<PathBuf> {
        fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => walk(&path, files),
                    false => files.push(path),
                }
            }
        }
        let mut files = vec![];
        walk(&self.objects_dir().join(under), &mut files);
        files
    }

    /// Makes all that is there old.
    pub fn age(&self) {
        for path in self.files("") {
            let old = SystemTime::now() - LONG;
            match File::options().write(true).open(path) {
                Ok(file) => file.set_modified(old).unwrap(),
                // Deleted meanwhile.
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
            }
        }
    }

    /// Where a name is.
    pub fn at(&self, name: &Name) -> PathBuf {
        self.objects_dir().join(name.to_string())
    }

    /// Where a manifest is.
    pub fn manifest(&self, id: &ManifestId) -> PathBuf {
        let id = id.to_string();
        self.objects_dir().join("manifests").join(&id[..2]).join(id)
    }
}

pub fn local(dir: &Path) -> Arc<dyn ObjectStore> {
    Arc::new(LocalFileSystem::new_with_prefix(dir.join("objects")).unwrap())
}

async fn chunks(dir: &Path, objects: Arc<dyn ObjectStore>) -> ChunkStore {
    let keyring = Keyring::local(&dir.join("keyring")).await.unwrap();
    // Nothing in memory: what is read was there when it was read.
    let options = Options { memory_bytes: 0, ..Options::default() };
    ChunkStore::new(objects, keyring, options).unwrap()
}

/// The chunks of a fixture, by its directory.
pub async fn chunks_in(dir: &Path) -> ChunkStore {
    chunks(dir, local(dir)).await
}

/// Makes all that is there old and collects, twice: what was needed before the first
/// is let go by the second. How many manifests went.
pub async fn collect(fixture: &Fixture, store: &SnapshotStore) -> u64 {
    fixture.age();
    let first = store.collect(BTreeSet::new()).await.unwrap();
    let second = store.collect(BTreeSet::new()).await.unwrap();
    first.manifests_swept + second.manifests_swept
}

pub fn account(number: u8) -> AccountId {
    format!("{number:012}").parse().unwrap()
}

pub fn function(number: u8) -> Name {
    Name::Function(account(number), SnapshotId::new())
}

pub fn layer(kind: &str) -> Name {
    Name::Layer(LayerName::of(kind, &["machine"]))
}

/// Pages, each filled with its number: 0 is a page of zeros.
pub fn pages(numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let page = |number: u32| number.to_le_bytes().repeat(PAGE_BYTES / 4);
    numbers.into_iter().flat_map(page).collect()
}

pub fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// A guest whose memory is this.
pub fn captured<'a>(memory: &[u8], parent: Option<&'a Stored>) -> Captured<'a> {
    let images = vec!["os".to_owned()];
    Captured {
        about: About { machine: "test 1".into(), memory_mib: 1, vcpus: 1, images },
        memory: Arc::new(file_of(memory)),
        parent,
        state: Bytes::from_static(b"registers"),
        scratch: None,
        anew: false,
    }
}

pub async fn whole(file: &StoredFile) -> Vec<u8> {
    file.read_at(0, file.size() as usize).await.unwrap().to_vec()
}
