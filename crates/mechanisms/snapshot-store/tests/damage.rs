//! What is damaged, forged or somebody else's is refused, and the error says what.

mod support;

use hearth_chunk_store::{ReadError, StoredFile};
use hearth_snapshot_store::{Name, OpenError, SnapshotStore, Stored};
use std::error::Error;
use support::{Fixture, captured, file_of, function, layer, pages};

async fn refused(store: &SnapshotStore, name: &Name) -> OpenError {
    store.open(name).await.err().expect("it is refused")
}

async fn saved(store: &SnapshotStore, name: &Name) -> Stored {
    let mut guest = captured(&pages(1..300), None);
    guest.scratch = Some(file_of(b"written"));
    store.save(name.clone(), guest).await.unwrap()
}

/// An error with what lies below it.
fn words(error: &dyn Error) -> String {
    let below = error.source().map(|below| format!(": {}", words(below)));
    error.to_string() + &below.unwrap_or_default()
}

/// Leaves of a name what it says, without what it brings along.
fn forget_copies(fixture: &Fixture, name: &Name) {
    let path = fixture.at(name);
    let bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    std::fs::write(path, &bytes[..end]).unwrap();
}

fn is_refusal(error: &OpenError) -> bool {
    use hearth_chunk_store::OpenError::Manifest;
    matches!(error, OpenError::File(Manifest(_, ReadError::Refused(_))))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_what_was_written_is_damaged() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let name = function(1);
    saved(&store, &name).await;
    for text in [&b""[..], b"\xff\xfe", b"../../etc/passwd", &[b'0'; 63]] {
        std::fs::write(fixture.at(&name), text).unwrap();
        let error = refused(&store, &name).await;
        assert!(matches!(error, OpenError::Damaged(_)), "{text:?}: {error:?}");
        assert_eq!(error.to_string(), "a snapshot's name is damaged");
    }
    // A record that nobody has.
    std::fs::write(fixture.at(&name), "0".repeat(64)).unwrap();
    let error = words(&refused(&store, &name).await);
    assert!(error.contains("manifest 0000") && error.ends_with("is missing"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_file_that_is_damaged_or_missing_is_told() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let name = function(1);
    let first = saved(&store, &name).await;
    let set = hearth_snapshot_store::WorkingSetOf { pages: vec![2, 1], recordings: 1 };
    let record = store.learn(&first, &set).await.unwrap().record;
    drop(first);
    forget_copies(&fixture, &name);
    let files = [Some(record.memory), Some(record.state), record.scratch, record.pack];
    for id in files.map(Option::unwrap) {
        let path = fixture.manifest(&id);
        let bytes = std::fs::read(&path).unwrap();
        let mut turned = bytes.clone();
        *turned.last_mut().unwrap() ^= 1;
        std::fs::write(&path, turned).unwrap();
        let error = words(&refused(&store, &name).await);
        assert!(error.contains(&id.to_string()) && error.contains("corrupt"), "{error}");
        std::fs::remove_file(&path).unwrap();
        let error = words(&refused(&store, &name).await);
        assert!(error.contains(&id.to_string()) && error.ends_with("is missing"), "{error}");
        std::fs::write(&path, bytes).unwrap();
    }
    let whole = store.open(&name).await.unwrap().unwrap();

    // Chunks are looked at when they are read; only those of the record and of the
    // state are read at once.
    for path in fixture.files("chunks") {
        std::fs::write(path, b"damaged").unwrap();
    }
    let read = |file: StoredFile| async move { file.read_at(0, 4096).await.unwrap_err() };
    for file in [&whole.memory, whole.scratch.as_ref().unwrap()] {
        assert!(matches!(read(file.clone()).await, ReadError::Corrupt(_)));
    }
    let error = refused(&store, &name).await;
    assert!(error.is_damage() && matches!(error, OpenError::Read(ReadError::Corrupt(_))));
    // What was read and found bad is told of the open snapshot.
    let damage = store.damage(&store.suspects().await.unwrap(), &whole).await.unwrap();
    assert_eq!(
        damage.len(),
        3,
        "a page of memory, one of the scratch disk, the record: {damage:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_brings_what_it_takes_to_open_it_and_damage_there_is_passed_over() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let name = function(1);
    drop(saved(&store, &name).await);
    let good = std::fs::read(fixture.at(&name)).unwrap();
    // Wherever it is damaged, the origin has it too.
    for at in (65..good.len()).step_by(good.len() / 40) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(fixture.at(&name), bad).unwrap();
        assert_eq!(&store.open(&name).await.unwrap().unwrap().state[..], b"registers", "at {at}");
    }
    std::fs::write(fixture.at(&name), &good[..good.len() / 2]).unwrap();
    assert!(store.open(&name).await.unwrap().is_some());
    std::fs::write(fixture.at(&name), &good).unwrap();
    // And where the origin has not, it is there.
    for path in [fixture.files("manifests"), fixture.files("chunks")].concat() {
        std::fs::write(path, b"damaged").unwrap();
    }
    let stored = store.open(&name).await.unwrap().unwrap();
    assert_eq!(&stored.state[..], b"registers");
    assert!(stored.memory.read_at(0, 4096).await.is_err(), "memory does not come along");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pack_is_mended_from_memory() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let name = function(1);
    let first = saved(&store, &name).await;
    let before = fixture.files("chunks");
    let set = hearth_snapshot_store::WorkingSetOf { pages: vec![200, 2, 1], recordings: 1 };
    let learnt = store.learn(&first, &set).await.unwrap();
    let is_new = |path: &std::path::PathBuf| !before.contains(path);
    let new: Vec<_> = fixture.files("chunks").into_iter().filter(is_new).collect();
    // A page each of record and pack; the record's, and what else is a page long, is JSON.
    let packed = new.iter().max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    std::fs::write(packed, b"damaged").unwrap();
    let pack = learnt.pack.as_ref().unwrap().file();
    assert!(pack.read_at(4096, 4096).await.is_err());
    let suspects = store.suspects().await.unwrap();
    assert_eq!(store.damage(&suspects, &learnt).await.unwrap(), []);
    assert_eq!(pack.read_at(4096, 4096).await.unwrap(), pages([2]));
    assert!(fixture.files("suspects").is_empty());

    // Not from memory that is damaged itself.
    for path in fixture.files("chunks") {
        std::fs::write(path, b"damaged").unwrap();
    }
    assert!(pack.read_at(4096, 4096).await.is_err());
    let suspects = store.suspects().await.unwrap();
    assert_eq!(store.damage(&suspects, &learnt).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_account_is_refused() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let (mine, theirs, below) = (function(1), function(2), layer("os"));
    for name in [&mine, &theirs, &below] {
        saved(&store, name).await;
    }
    for other in [&theirs, &below] {
        std::fs::copy(fixture.at(other), fixture.at(&mine)).unwrap();
        let error = refused(&store, &mine).await;
        assert!(is_refusal(&error), "{other}: {error:?}");
    }
    // And a record of one's own that names another's files.
    let forged = serde_json::to_vec(&saved(&store, &theirs).await.record).unwrap();
    let forged = store.chunks().write(&mine.owner(), forged).await.unwrap().id;
    std::fs::write(fixture.at(&mine), forged.to_string()).unwrap();
    let error = refused(&store, &mine).await;
    assert!(is_refusal(&error), "{error:?}");
    assert!(store.open(&theirs).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_understood_is_refused() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let name = function(1);
    let record = saved(&store, &name).await.record;
    let mut newer = serde_json::to_value(&record).unwrap();
    newer["version"] = 2.into();
    let unfinished = serde_json::json!({ "version": 1 });
    for record in [newer.to_string(), unfinished.to_string(), "[]".into(), String::new()] {
        let kept = store.chunks().write(&name.owner(), record.clone().into_bytes()).await.unwrap();
        std::fs::write(fixture.at(&name), kept.id.to_string()).unwrap();
        let error = refused(&store, &name).await;
        assert!(matches!(error, OpenError::Record(_)), "{record:?}: {error:?}");
    }
    // One that would not fit into memory is not read.
    let large = tempfile::tempfile().unwrap();
    large.set_len(1 << 30).unwrap();
    let kept = store.chunks().write(&name.owner(), large).await.unwrap();
    std::fs::write(fixture.at(&name), kept.id.to_string()).unwrap();
    assert!(matches!(refused(&store, &name).await, OpenError::TooLarge(size) if size == 1 << 30));
}
