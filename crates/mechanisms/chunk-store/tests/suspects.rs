//! What is bad at the origin is stored anew by whoever has the same, and said of the
//! files that need it. The origin is a folder here, and bits are flipped in its files.

mod support;

use hearth_chunk_store::{
    ChunkStore, Keyring, Level, ManifestId, Object, Options, ReadError, StoredFile,
};
use object_store::local::LocalFileSystem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use support::{account, file_of, roots, unknown, whole};
use tempfile::TempDir;

/// An origin in a folder, and a grace in which nothing is written again for its age.
struct Folder {
    dir: TempDir,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("objects")).unwrap();
        Self { dir }
    }

    /// A process of its own. What is in memory it has read itself.
    async fn store(&self) -> ChunkStore {
        let objects = LocalFileSystem::new_with_prefix(self.dir.path().join("objects")).unwrap();
        let keyring = Keyring::local(&self.dir.path().join("keyring")).await.unwrap();
        let grace = Duration::from_secs(3600);
        let options = Options { memory_bytes: 64 << 20, grace, ..Options::default() };
        ChunkStore::new(Arc::new(objects), keyring, options).unwrap()
    }

    fn files(&self, kind: &str) -> Vec<PathBuf> {
        let list = |dir: &Path| -> Vec<PathBuf> {
            let entries = std::fs::read_dir(dir).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path()).collect()
        };
        let kind = self.dir.path().join("objects").join(kind);
        let is_file = |path: &PathBuf| path.is_file();
        let found = list(&kind);
        let below = found.iter().flat_map(|dir| list(dir));
        found.iter().cloned().chain(below).filter(is_file).collect()
    }
}

/// A file of three chunks.
fn bytes() -> Vec<u8> {
    file_of(&(1..=300).collect::<Vec<_>>())
}

/// Ways in which a copy at rest can be bad.
#[derive(Clone, Copy, Debug)]
enum Bad {
    Flipped,
    Short,
    Empty,
    Gone,
}

const ALL: [Bad; 4] = [Bad::Flipped, Bad::Short, Bad::Empty, Bad::Gone];

fn spoil(path: &Path, how: Bad) -> Vec<u8> {
    let good = std::fs::read(path).unwrap();
    let mut bad = good.clone();
    match how {
        Bad::Flipped => bad[good.len() / 2] ^= 0x10,
        Bad::Short => drop(bad.pop()),
        Bad::Empty => bad.clear(),
        Bad::Gone => {
            std::fs::remove_file(path).unwrap();
            return good;
        }
    }
    std::fs::write(path, bad).unwrap();
    good
}

async fn opened(store: &ChunkStore, id: ManifestId) -> StoredFile {
    store.open(&account(1), &id).await.unwrap()
}

async fn damage(store: &ChunkStore, files: &[&StoredFile]) -> Vec<Object> {
    store.damage(&store.suspects().await.unwrap(), files).await.unwrap()
}

async fn read(file: &StoredFile) -> Result<Vec<u8>, ReadError> {
    Ok(file.read_at(0, file.size() as usize).await?.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_a_read_found_bad_is_stored_again_by_another_process() {
    let folder = Folder::new();
    let id = folder.store().await.write(&account(1), bytes()).await.unwrap().id;
    for path in folder.files("chunks") {
        for how in ALL {
            let good = spoil(&path, how);
            let reader = folder.store().await;
            let failed = read(&opened(&reader, id).await).await.unwrap_err();
            assert!(matches!(failed, ReadError::Corrupt(_) | ReadError::Missing(_)), "{failed:?}");
            assert_eq!(folder.files("suspects").len(), 1, "{how:?}");

            let written = folder.store().await.write(&account(1), bytes()).await.unwrap();
            assert_eq!((written.id, written.chunks_new, written.chunks_present), (id, 1, 2));
            assert!(std::fs::read(&path).unwrap() == good, "{how:?}");
            assert!(folder.files("suspects").is_empty(), "{how:?}");
            // The reader goes on where it failed.
            assert_eq!(read(&opened(&reader, id).await).await.unwrap(), bytes());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_mended_by_the_same_bytes_under_whatever_salt() {
    let folder = Folder::new();
    let owner = unknown(1);
    // Its last page is not whole.
    let bytes = [bytes(), vec![7; 100]].concat();
    let id = folder.store().await.write(&owner, bytes.clone()).await.unwrap().id;
    let keyring = Keyring::local(&folder.dir.path().join("keyring")).await.unwrap();
    keyring.rotate_salt().await.unwrap();
    let mut other = bytes.clone();
    other.iter_mut().for_each(|byte| *byte ^= 1);
    for path in folder.files("chunks") {
        for how in ALL {
            let good = spoil(&path, how);
            let reader = folder.store().await;
            let file = reader.open(&owner, &id).await.unwrap();
            assert!(read(&file).await.is_err(), "{how:?}");

            let store = folder.store().await;
            let file = store.open(&owner, &id).await.unwrap();
            let suspects = store.suspects().await.unwrap();
            assert!(suspects.is_any_of(&file), "{how:?}");
            for wrong in [other.clone(), bytes[1..].to_vec(), vec![]] {
                assert_eq!(store.mend(&suspects, &file, wrong).await.unwrap(), 0, "{how:?}");
            }
            assert_eq!(store.mend(&suspects, &file, bytes.clone()).await.unwrap(), 1, "{how:?}");
            assert!(std::fs::read(&path).unwrap() == good, "{how:?}");
            assert!(folder.files("suspects").is_empty(), "{how:?}");
            assert_eq!(read(&file).await.unwrap(), bytes);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_found_bad_is_stored_anew_by_who_stores_all() {
    let folder = Folder::new();
    let store = folder.store().await;
    let id = store.write(&account(1), bytes()).await.unwrap().id;
    for path in folder.files("chunks") {
        spoil(&path, Bad::Flipped);
    }
    store.write(&account(1), bytes()).await.unwrap();
    assert!(read(&opened(&store, id).await).await.is_err(), "who could know?");
    let written = store.storing_all().write(&account(1), bytes()).await.unwrap();
    assert_eq!(written.id, id);
    assert_eq!(read(&opened(&folder.store().await, id).await).await.unwrap(), bytes());
    assert!(folder.files("suspects").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_was_found_bad_is_whole_once_it_is_written_again() {
    let folder = Folder::new();
    let store = folder.store().await;
    let id = store.write(&account(1), bytes()).await.unwrap().id;
    let [path] = &folder.files("manifests")[..] else { panic!("one manifest") };
    for how in ALL {
        spoil(path, how);
        assert!(folder.store().await.open(&account(1), &id).await.is_err(), "{how:?}");
        assert_eq!(folder.files("suspects").len(), 1, "{how:?}");
        store.write(&account(1), bytes()).await.unwrap();
        assert!(folder.files("suspects").is_empty(), "{how:?}");
        assert_eq!(whole(&opened(&folder.store().await, id).await).await, bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_has_whole_heals_the_origin() {
    let folder = Folder::new();
    let id = folder.store().await.write(&account(1), bytes()).await.unwrap().id;
    // It has the manifest open, and every chunk in memory.
    let lucky = folder.store().await;
    let file = opened(&lucky, id).await;
    read(&file).await.unwrap();
    assert_eq!(damage(&lucky, &[&file]).await, []);
    let manifest = folder.files("manifests");
    for path in manifest.iter().chain(&folder.files("chunks")) {
        for how in ALL {
            let good = spoil(path, how);
            let other = folder.store().await;
            match other.open(&account(1), &id).await {
                Ok(file) => drop(read(&file).await.unwrap_err()),
                Err(_) => assert_eq!(path, &manifest[0]),
            }
            assert_eq!(folder.files("suspects").len(), 1, "{how:?}");
            assert_eq!(damage(&lucky, &[&file]).await, [], "{how:?}");
            assert!(std::fs::read(path).unwrap() == good, "{how:?}");
            assert!(folder.files("suspects").is_empty(), "{how:?}");
        }
    }
    // A verification does the same of chunks, and needs nobody to have noticed.
    let chunk = &folder.files("chunks")[0];
    let good = spoil(chunk, Bad::Flipped);
    let report = lucky.verify(&roots([(account(1), id)])).await;
    assert!(report.is_whole(), "{report:?}");
    assert!(report.damaged[0].level == Level::Origin && report.damaged[0].is_healed);
    assert!(std::fs::read(chunk).unwrap() == good);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_told_of_the_files_that_have_it_and_only_as_long_as_it_is_there() {
    let folder = Folder::new();
    let store = folder.store().await;
    let id = store.write(&account(1), bytes()).await.unwrap().id;
    let other = store.write(&account(1), file_of(&[7])).await.unwrap().id;
    let (file, other) = (opened(&store, id).await, opened(&store, other).await);
    let files = folder.files("chunks");
    let of_file = |path: &&PathBuf| std::fs::metadata(path).unwrap().len() > 8192;
    let path = files.iter().find(of_file).unwrap();
    let good = spoil(path, Bad::Flipped);
    // Nobody has read it yet.
    assert_eq!(damage(&store, &[&file]).await, []);
    read(&file).await.unwrap_err();
    let found = damage(&store, &[&other, &file]).await;
    let name = path.file_name().unwrap().to_str().unwrap();
    assert_eq!(found, [Object::Chunk(name.parse().unwrap())]);
    assert_eq!(damage(&store, &[&other]).await, []);
    assert_eq!(damage(&folder.store().await, &[&file]).await, found, "after a restart");
    // Somebody put it back.
    std::fs::write(path, good).unwrap();
    assert_eq!(damage(&store, &[&file]).await, []);
    assert!(folder.files("suspects").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_notes_what_it_cannot_heal_and_a_collection_forgets_what_nothing_needs() {
    let folder = Folder::new();
    let id = folder.store().await.write(&account(1), bytes()).await.unwrap().id;
    for path in folder.files("chunks") {
        spoil(&path, Bad::Flipped);
    }
    let store = folder.store().await;
    let report = store.verify(&roots([(account(1), id)])).await;
    assert!(!report.is_whole() && report.damaged.len() == 3, "{report:?}");
    assert_eq!(folder.files("suspects").len(), 3);
    store.collect(roots([(account(1), id)])).await.unwrap();
    assert_eq!(folder.files("suspects").len(), 3, "they are needed");
    for path in [folder.files("chunks"), folder.files("manifests")].concat() {
        std::fs::remove_file(path).unwrap();
    }
    let gone = store.open(&account(1), &id).await.err().unwrap();
    assert!(matches!(gone, hearth_chunk_store::OpenError::Manifest(_, ReadError::Missing(_))));
    assert_eq!(folder.files("suspects").len(), 4);
    store.collect(roots([])).await.unwrap();
    assert!(folder.files("suspects").is_empty());
}
