//! Levels: the nearest serves, damage never is served, and it is healed.

mod support;

use bytes::Bytes;
use hearth_chunk_store::{ChunkStore, Level, ManifestId, Object, OpenError, PAGE_BYTES, ReadError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, SystemTime};
use support::{Fixture, PLENTY, account, file_of, roots, whole};

/// A file of three chunks.
fn bytes() -> Vec<u8> {
    file_of(&(1..=300).collect::<Vec<_>>())
}

async fn write(store: &ChunkStore) -> ManifestId {
    store.write(&account(1), bytes()).await.unwrap().id
}

async fn read(store: &ChunkStore, id: ManifestId) -> Vec<u8> {
    whole(&store.open(&account(1), &id).await.unwrap()).await
}

fn cached(fixture: &Fixture) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(fixture.cache()).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn modified(file: &Path) -> SystemTime {
    std::fs::metadata(file).unwrap().modified().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_is_read_from_the_origin_no_more() {
    let fixture = Fixture::new();
    let id = write(&fixture.store().await).await;
    for file in cached(&fixture) {
        std::fs::remove_file(file).unwrap();
    }
    let store = fixture.store().await;
    assert_eq!(read(&store, id).await, bytes());
    assert_eq!(fixture.origin.gets.load(SeqCst), 4);
    assert_eq!(read(&store, id).await, bytes());
    assert_eq!(read(&fixture.store().await, id).await, bytes(), "after a restart");
    assert_eq!(fixture.origin.gets.load(SeqCst), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_on_disk_or_at_the_origin_is_plaintext() {
    let fixture = Fixture::new();
    write(&fixture.store().await).await;
    let page = file_of(&[5]);
    let mut at_rest: Vec<Bytes> =
        cached(&fixture).iter().map(|file| std::fs::read(file).unwrap().into()).collect();
    at_rest.extend(fixture.origin.objects().await.into_iter().map(|(_, bytes)| bytes));
    assert_eq!(at_rest.len(), 8);
    for bytes in at_rest {
        assert!(!bytes.windows(64).any(|window| window == &page[..64]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_once_for_one_chunk_make_one_fetch() {
    let mut fixture = Fixture::new();
    fixture.options.disk = None;
    let id = write(&fixture.store().await).await;
    let store = fixture.store().await;
    let file = store.open(&account(1), &id).await.unwrap();
    let before = fixture.origin.gets.load(SeqCst);
    let taken = fixture.origin.gate.acquire_many(PLENTY as u32).await.unwrap();
    let readers: Vec<_> = (0..50)
        .map(|page| {
            let file = file.clone();
            tokio::spawn(async move { file.read_at(page * 4096, 4096).await.unwrap() })
        })
        .collect();
    // One who gives up, perhaps the one that fetches, leaves the others no worse.
    readers[0].abort();
    while fixture.origin.gets.load(SeqCst) == before {
        tokio::task::yield_now().await;
    }
    drop(taken);
    for (page, reader) in readers.into_iter().enumerate().skip(1) {
        assert!(reader.await.unwrap() == file_of(&[page as u32 + 1]));
    }
    // The one that gave up may have asked, too.
    assert!(fixture.origin.gets.load(SeqCst) - before <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_on_disk_is_fetched_again_and_healed() {
    let fixture = Fixture::new();
    let id = write(&fixture.store().await).await;
    for file in cached(&fixture) {
        let good = std::fs::read(&file).unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        for bad in [flipped, good[..good.len() - 1].to_vec(), Vec::new()] {
            std::fs::write(&file, bad).unwrap();
            assert_eq!(read(&fixture.store().await, id).await, bytes());
            assert!(std::fs::read(&file).unwrap() == good, "healed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_at_the_origin_is_an_error_of_its_own_and_never_served() {
    let mut fixture = Fixture::new();
    fixture.options.disk = None;
    let id = write(&fixture.store().await).await;
    for (path, good) in fixture.origin.objects().await {
        let mut flipped = good.to_vec();
        flipped[good.len() / 2] ^= 1;
        for bad in [flipped, good[1..].to_vec(), [&good[..], b"x"].concat(), Vec::new()] {
            fixture.origin.put(&path, bad.into()).await;
            let found = match fixture.store().await.open(&account(1), &id).await {
                Ok(file) => file.read_at(0, bytes().len()).await.unwrap_err(),
                Err(OpenError::Manifest(_, error)) => error,
                Err(error) => panic!("{error:?}"),
            };
            assert!(matches!(found, ReadError::Corrupt(_)), "{path}: {found:?}");
        }
        fixture.origin.put(&path, good).await;
    }
    assert_eq!(read(&fixture.store().await, id).await, bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn verification_finds_any_flipped_bit_and_heals_where_it_can() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let id = write(&store).await;
    let roots = roots([(account(1), id)]);
    let report = store.verify(&roots).await;
    assert!(report.is_whole() && report.damaged.is_empty() && report.objects == 4, "{report:?}");

    let only = |report: hearth_chunk_store::Report| {
        assert!(report.unread.is_empty() && report.keyless.is_empty(), "{report:?}");
        assert_eq!(report.damaged.len(), 1, "{report:?}");
        report.damaged[0]
    };
    for file in cached(&fixture) {
        let good = std::fs::read(&file).unwrap();
        let mut bad = good.clone();
        bad[7] ^= 1;
        std::fs::write(&file, bad).unwrap();
        let damage = only(store.verify(&roots).await);
        assert!(damage.is_healed && damage.level == Level::Disk, "{damage:?}");
        assert!(std::fs::read(&file).unwrap() == good);
    }
    for (path, good) in fixture.origin.objects().await {
        let mut bad = good.to_vec();
        bad[7] ^= 1;
        fixture.origin.put(&path, bad.clone().into()).await;
        let damage = only(store.verify(&roots).await);
        assert!(damage.is_healed && damage.level == Level::Origin, "{damage:?}");
        assert_eq!(fixture.origin.objects().await.iter().find(|o| o.0 == path).unwrap().1, good);

        // With no other copy it is said and stays.
        fixture.origin.put(&path, bad.into()).await;
        for file in cached(&fixture) {
            std::fs::remove_file(file).unwrap();
        }
        let damage = only(fixture.store().await.verify(&roots).await);
        assert!(!damage.is_healed && !damage.is_missing && damage.level == Level::Origin);
        fixture.origin.put(&path, good).await;
        assert_eq!(read(&fixture.store().await, id).await, bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verification_says_whose_key_is_damaged() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let (id, other) = (write(&store).await, store.write(&account(2), bytes()).await.unwrap().id);
    let roots = roots([(account(1), id), (account(2), other)]);
    let key = fixture.keys().join("account-000000000001.key");
    let good = std::fs::read(&key).unwrap();
    let mut bad = good.clone();
    bad[40] ^= 1;
    std::fs::write(&key, bad).unwrap();
    let store = fixture.store().await;
    let report = store.verify(&roots).await;
    let keyless: Vec<_> = report.keyless.iter().map(|(owner, _)| owner).collect();
    assert_eq!(keyless, [&account(1)]);
    assert!(!report.is_whole() && report.objects == 4, "{report:?}");
    assert!(matches!(store.open(&account(1), &id).await, Err(OpenError::Key(..))));
    std::fs::write(&key, good).unwrap();
    assert_eq!(read(&fixture.store().await, id).await, bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_may_fail_for_a_moment() {
    let mut fixture = Fixture::new();
    fixture.options.disk = None;
    let id = write(&fixture.store().await).await;
    let store = fixture.store().await;
    fixture.origin.fail_next.store(2, SeqCst);
    assert_eq!(read(&store, id).await, bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_out_of_reach_is_told_from_one_without_the_chunk() {
    let mut fixture = Fixture::new();
    fixture.options.disk = None;
    fixture.options.origin_wait = Duration::from_millis(50);
    let id = write(&fixture.store().await).await;
    let store = fixture.store().await;
    let file = store.open(&account(1), &id).await.unwrap();
    fixture.origin.fail_next.store(u64::MAX, SeqCst);
    let failed = file.read_at(0, 1).await.unwrap_err();
    assert!(matches!(failed, ReadError::Unreachable(..)), "{failed:?}");
    fixture.origin.fail_next.store(0, SeqCst);
    fixture.origin.hang.store(true, SeqCst);
    let failed = file.read_at(0, 1).await.unwrap_err();
    assert!(matches!(failed, ReadError::Unreachable(..)), "{failed:?}");
    fixture.origin.hang.store(false, SeqCst);
    assert!(file.read_at(0, PAGE_BYTES).await.unwrap() == file_of(&[1]), "it recovers");

    let other = ManifestId::of(b"nothing");
    let missing = store.open(&account(1), &other).await.err().unwrap();
    let wanted = Object::Manifest(other);
    assert!(
        matches!(missing, OpenError::Manifest(_, ReadError::Missing(object)) if object == wanted)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_nothing_is_survived() {
    let fixture = Fixture::new();
    let id = write(&fixture.store().await).await;
    let store = fixture.store().await;
    std::fs::remove_dir_all(fixture.cache()).unwrap();
    assert_eq!(read(&store, id).await, bytes());
    std::fs::create_dir(fixture.cache()).unwrap();
    let small = store.write(&account(1), file_of(&[9])).await.unwrap();
    assert_eq!(cached(&fixture).len(), 2, "it keeps again when it can");
    drop(small);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_holds_what_was_used_last_within_its_bounds() {
    let mut fixture = Fixture::new();
    let chunk = file_of(&(1..=128).collect::<Vec<_>>()).len() as u64;
    fixture.options.disk.as_mut().unwrap().bytes = 3 * chunk;
    fixture.options.memory_bytes = 0;
    let store = fixture.store().await;
    let mut ids = Vec::new();
    for first in 0..6u32 {
        let pages: Vec<u32> = (first * 1000 + 1..first * 1000 + 129).collect();
        ids.push(store.write(&account(1), file_of(&pages)).await.unwrap().id);
    }
    let bytes = || -> u64 {
        cached(&fixture).iter().map(|file| std::fs::metadata(file).unwrap().len()).sum()
    };
    assert!(bytes() <= 3 * chunk && bytes() > chunk, "{}", bytes());

    // Only the last two files fit. The older is read, so the newer goes next,
    // also if the cache is opened anew in between.
    // A file's time moves on by milliseconds only.
    let newest = cached(&fixture).iter().map(|file| modified(file)).max().unwrap();
    let probe = fixture.dir.path().join("probe");
    while !probe.exists() || modified(&probe) <= newest {
        std::fs::write(&probe, b"").unwrap();
    }
    let gets = |of: &Arc<support::Faulty>| of.gets.load(SeqCst);
    let old = store.open(&account(1), &ids[4]).await.unwrap();
    old.read_at(0, 1).await.unwrap();
    assert_eq!(gets(&fixture.origin), 0);
    let store = fixture.store().await;
    store.write(&account(1), file_of(&[9; 128])).await.unwrap();
    let old = store.open(&account(1), &ids[4]).await.unwrap();
    old.read_at(0, 1).await.unwrap();
    assert_eq!(gets(&fixture.origin), 0, "kept");
    let new = store.open(&account(1), &ids[5]).await.unwrap();
    new.read_at(0, 1).await.unwrap();
    assert!(gets(&fixture.origin) > 0, "evicted");
}
