//! What is written comes back, and what is equal is stored once.

mod support;

use futures_util::TryStreamExt;
use hearth_chunk_store::{Kind, ManifestError, OpenError, PAGE_BYTES, ReadError, WriteError};
use proptest::prelude::*;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::SeqCst;
use support::{Fixture, account, file_of, layer, unknown, whole};

const PAGE: u64 = PAGE_BYTES as u64;

/// `count` pages that are nowhere else, from `first` on.
fn fresh(first: u32, count: u32) -> Vec<u32> {
    (first..first + count).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_back_whole_and_in_pieces() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let mut bytes = file_of(&[fresh(1, 200), vec![0; 300], fresh(300, 5)].concat());
    bytes.truncate(bytes.len() - 1000);
    let written = store.write(&account(1), bytes.clone()).await.unwrap();
    assert_eq!((written.size, written.chunks_new), (bytes.len() as u64, 3));

    for store in [store, fixture.store().await] {
        let file = store.open(&account(1), &written.id).await.unwrap();
        assert_eq!(whole(&file).await, bytes);
        let ends = [0, 1, 4095, 4096, 128 * 4096 - 1, 200 * 4096, 500 * 4096 + 7, bytes.len()];
        for from in ends {
            for to in ends.into_iter().filter(|to| *to >= from) {
                let read = file.read_at(from as u64, to - from).await.unwrap();
                assert!(read == bytes[from..to], "{from}..{to}");
            }
        }
        assert_eq!(file.read_at(bytes.len() as u64 - 1, 10).await.unwrap().len(), 1);
        assert_eq!(file.read_at(u64::MAX, 10).await.unwrap().len(), 0);
        assert!(matches!(file.read_at(0, 1 << 30).await, Err(ReadError::TooLong(_))));
        assert_eq!(file.next_data(0), Some(0..200 * PAGE));
        assert_eq!(file.next_data(200 * PAGE), Some(500 * PAGE..bytes.len() as u64));
        assert_eq!(file.next_data(bytes.len() as u64), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_are_not_read_and_zeros_are_not_stored() {
    let fixture = Fixture::new();
    let file = tempfile::tempfile().unwrap();
    file.set_len(1 << 30).unwrap();
    file.write_all_at(&file_of(&[7, 0, 8]), 600 << 20).unwrap();
    let store = fixture.store().await;
    let written = store.write(&account(1), file).await.unwrap();
    assert_eq!((written.size, written.chunks_new), (1 << 30, 1));
    assert_eq!(written.bytes_new, 2 * PAGE + 16);
    let empty = store.write(&account(1), vec![0; 1 << 20]).await.unwrap();
    assert_eq!((empty.size, empty.chunks_new), (1 << 20, 0));
    assert_eq!(whole(&empty.file).await, vec![0; 1 << 20]);
    let nothing = store.write(&account(1), Vec::new()).await.unwrap();
    assert_eq!(whole(&nothing.file).await, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_bytes_are_stored_once_for_whom_they_are_shared_with() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let bytes = file_of(&fresh(1, 130));
    let new = async |owner| {
        let written = store.write(&owner, bytes.clone()).await.unwrap();
        assert_eq!(whole(&written.file).await, bytes);
        // All or nothing of it is new.
        assert!(written.chunks_new == 0 || written.chunks_present == 0);
        written.chunks_new
    };
    assert_eq!(new(account(1)).await, 2, "two windows");
    assert_eq!(new(account(1)).await, 0, "an account's own");
    assert_eq!(new(account(2)).await, 2, "nobody else's");
    assert!(new(unknown(1)).await > 0);
    assert_eq!(new(unknown(2)).await, 0, "whoever has the same bytes");
    assert_eq!(new(layer()).await, 2);
    store.keyring().rotate_salt().await.unwrap();
    assert!(new(unknown(1)).await > 0, "under another salt");

    let one = store.write(&account(1), bytes.clone()).await.unwrap();
    let two = store.write(&account(1), bytes.clone()).await.unwrap();
    assert_eq!(one.id, two.id, "one file, one manifest");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_moved_are_shared_in_files_of_unknown_origin() {
    const PAGES: u32 = 4096;
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let before: Vec<u32> = fresh(1, PAGES);
    store.write(&unknown(1), file_of(&before)).await.unwrap();
    let with = |at: usize, removed: usize, put: &[u32]| {
        let mut pages = before.clone();
        pages.splice(at..at + removed, put.iter().copied());
        pages
    };
    for (what, after) in [
        ("a page more", with(1000, 0, &[5_000_000])),
        ("a page less", with(2000, 1, &[])),
        ("a hole", with(3000, 0, &[0; 200])),
    ] {
        let written = store.write(&unknown(2), file_of(&after)).await.unwrap();
        assert_eq!(whole(&written.file).await, file_of(&after));
        let shared = written.bytes_present as f64;
        let share = shared / (shared + written.bytes_new as f64);
        // A few chunks around it are not, of 128 pages at most; how many is up to the salt.
        assert!(share > 0.8, "{what}: {share}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_opens_for_its_owner_alone() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let written = store.write(&account(1), file_of(&[1])).await.unwrap();
    store.write(&account(2), file_of(&[1])).await.unwrap();
    let refusal = async |owner| match store.open(&owner, &written.id).await.err().unwrap() {
        OpenError::Manifest(_, ReadError::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(matches!(*refusal(account(2)).await, ManifestError::OtherOwner { .. }));
    assert!(matches!(*refusal(unknown(1)).await, ManifestError::OtherOwner { .. }));
    assert!(matches!(store.open(&account(3), &written.id).await, Err(OpenError::Key(..))));

    std::fs::remove_file(fixture.keys().join("account-000000000001.key")).unwrap();
    let store = fixture.store().await;
    store.write(&account(1), file_of(&[1])).await.unwrap();
    match store.open(&account(1), &written.id).await.err().unwrap() {
        OpenError::Manifest(_, ReadError::Refused(why)) => {
            assert_eq!(*why, ManifestError::WrongKey(account(1)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_stores_only_the_pages_that_differ_packed_together() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let pages = fresh(1, 640);
    let parent = store.write(&layer(), file_of(&pages)).await.unwrap();
    let mut child_pages = pages.clone();
    // One page of each chunk changes, one becomes zero; the file grows.
    for (i, at) in (3..640).step_by(128).enumerate() {
        child_pages[at] = 10_000 + i as u32;
        child_pages[at + 1] = 0;
    }
    child_pages.extend([0, 20_000]);
    let bytes = file_of(&child_pages);
    let child = store.write_layer(&account(1), bytes.clone(), &parent.file).await.unwrap();
    assert_eq!((child.chunks_new, child.bytes_new), (1, 6 * PAGE + 16));
    assert_eq!((child.chunks_shared, child.bytes_shared), (5, 630 * PAGE));
    let stats = child.file.chunks();
    assert_eq!((stats.own.chunks, stats.own.bytes), (1, 6 * PAGE));

    // A grandchild sees through both, and goes back to the first in part.
    let mut pages = child_pages.clone();
    (pages[3], pages[200]) = (4, 30_000);
    pages.truncate(500);
    let mut bytes_2 = file_of(&pages);
    bytes_2.truncate(bytes_2.len() - 96);
    let grandchild = store.write_layer(&account(1), bytes_2.clone(), &child.file).await.unwrap();
    // What is the parent's parent's is stored again: only the parent is looked at.
    assert_eq!(grandchild.bytes_new, 3 * PAGE + 16);

    let elsewhere = fixture.store().await;
    for (id, bytes) in [(child.id, bytes), (grandchild.id, bytes_2)] {
        let file = elsewhere.open(&account(1), &id).await.unwrap();
        assert!(whole(&file).await == bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_gives_its_pages_in_order_out_of_few_chunks() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let file = store.write(&account(1), file_of(&fresh(1, 12_800))).await.unwrap().file;
    // Ten pages of each of 100 chunks, from the back.
    let mut wanted: Vec<u32> = (0..12_800).step_by(13).rev().collect();
    let pack = store.write_pack(&account(1), &file, &wanted).await.unwrap();
    assert_eq!(pack.chunks_new, 8);

    let gets = fixture.origin.gets.load(SeqCst);
    let mut elsewhere = Fixture::new();
    elsewhere.origin = fixture.origin.clone();
    let keys = hearth_chunk_store::Keyring::local(&fixture.keys()).await.unwrap();
    let fresh = hearth_chunk_store::ChunkStore::new(
        elsewhere.origin.clone(),
        keys,
        elsewhere.options.clone(),
    );
    let pack = fresh.unwrap().open(&account(1), &pack.id).await.unwrap();
    assert_eq!((pack.kind(), pack.size()), (Kind::Pack, file.size()));
    let fetched: Vec<_> = pack.fetch_all().try_collect().await.unwrap();
    assert_eq!(fixture.origin.gets.load(SeqCst) - gets, 9, "its chunks and its manifest");
    let mut found = Vec::new();
    for fetched in fetched {
        for run in fetched.runs {
            for page in 0..run.pages {
                let at = run.at + page as usize * PAGE_BYTES;
                assert!(fetched.data[at..at + PAGE_BYTES] == file_of(&[run.page + page + 1]));
                found.push(run.page + page);
            }
        }
    }
    assert_eq!(found, wanted);

    wanted.push(12_800);
    let refused = store.write_pack(&account(1), &file, &wanted).await.err().unwrap();
    assert!(matches!(refused, WriteError::Build(_)), "{refused:?}");
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_by_its_size() {
    let file = tempfile::tempfile().unwrap();
    file.set_len((16 << 30) + 1).unwrap();
    let refused = Fixture::new().store().await.write(&account(1), file).await.err().unwrap();
    assert!(matches!(refused, WriteError::Build(_)), "{refused:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_chain_of_layers_comes_back(
        chain in prop::collection::vec((prop::collection::vec(0u32..4, 1..400), 0usize..4096), 1..4),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new();
            let store = fixture.store().await;
            let mut parent = None;
            for (pages, cut) in chain {
                let mut bytes = file_of(&pages);
                bytes.truncate(bytes.len() - cut);
                let written = match &parent {
                    None => store.write(&layer(), bytes.clone()).await,
                    Some(parent) => store.write_layer(&account(1), bytes.clone(), parent).await,
                };
                let written = written.unwrap();
                let owner = if parent.is_none() { layer() } else { account(1) };
                let file = fixture.store().await.open(&owner, &written.id).await.unwrap();
                assert!(whole(&file).await == bytes);
                parent = Some(file);
            }
        });
    }
}
