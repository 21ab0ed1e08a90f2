//! Snapshots are saved, opened, improved and removed, each as a whole or not at all.

mod support;

use hearth_chunk_store::Tally;
use hearth_snapshot_store::{SaveError, SnapshotStore, Stored, WorkingSetOf};
use std::collections::BTreeSet;
use std::fs::File;
use std::time::Duration;
use support::{Fixture, captured, collect, file_of, function, layer, pages, whole};

const PAGES: u32 = 300;

fn set(pages: &[u32], recordings: u32) -> WorkingSetOf {
    WorkingSetOf { pages: pages.to_vec(), recordings }
}

async fn opened(store: &SnapshotStore, name: &hearth_snapshot_store::Name) -> Stored {
    store.open(name).await.unwrap().expect("it has a name")
}

fn packed(stored: &Stored) -> Vec<u32> {
    stored.pack.iter().flat_map(|pack| pack.pages()).map(|page| page.0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_saved_is_there_for_the_next_process() {
    let fixture = Fixture::new();
    let memory = pages((0..PAGES).map(|page| page % 3));
    let name = function(1);
    let mut guest = captured(&memory, None);
    guest.scratch = Some(file_of(b"written to /tmp"));
    let about = guest.about.clone();
    let saved = fixture.store().await.save(name.clone(), guest).await.unwrap();
    assert_eq!(saved.state, "registers");

    let store = fixture.store().await;
    let found = opened(&store, &name).await;
    assert_eq!((&found.record, &found.name), (&saved.record, &name));
    assert_eq!(found.record.about, about);
    assert!(whole(&found.memory).await == memory);
    assert_eq!(found.state, "registers");
    assert_eq!(whole(found.scratch.as_ref().unwrap()).await, b"written to /tmp");
    assert!(found.pack.is_none() && found.record.parent.is_none());
    assert_eq!(store.names().await.unwrap(), [name]);
    assert!(store.open(&function(1)).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_shares_what_it_did_not_change_and_outlives_its_parent() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let os = store.save(layer("os"), captured(&pages(1..=PAGES), None)).await.unwrap();
    let mut memory = pages(1..=PAGES);
    memory[..4096].copy_from_slice(&pages([7]));
    memory[4096..8192].fill(0);
    let name = function(1);
    let saved = store.save(name.clone(), captured(&memory, Some(&os))).await.unwrap();
    assert_eq!(saved.record.parent, Some((os.name.owner(), os.record.memory)));
    let chunks = saved.memory.chunks();
    assert_eq!(chunks.own, Tally { chunks: 1, bytes: 4096 });
    assert_eq!(chunks.shared.bytes, u64::from(PAGES - 2) * 4096);

    store.remove(&os.name).await.unwrap();
    drop((os, saved));
    assert_ne!(collect(&fixture, &store).await, 0);
    let store = fixture.store().await;
    assert!(whole(&opened(&store, &name).await.memory).await == memory);
    assert_eq!(store.names().await.unwrap(), [name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_working_set_is_kept_in_order_and_replaced_by_a_better_one() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let name = function(1);
    // Every fifth page is zero.
    let memory = pages((0..PAGES).map(|page| page * u32::from(page % 5 != 0)));
    let saved = store.save(name.clone(), captured(&memory, None)).await.unwrap();
    let first = store.learn(&saved, &set(&[9, 5, 1, 200, 0], 1)).await.unwrap();
    assert_eq!((packed(&first), &first.record.zeros[..]), (vec![9, 1], &[5, 200, 0][..]));
    let found = opened(&store, &name).await;
    assert_eq!(found.record, first.record);
    assert_eq!(packed(&found), [9, 1]);
    assert!(whole(&found.memory).await == memory);

    // More than a chunk of pages, in an order of their own.
    let order: Vec<u32> = (0..PAGES).rev().filter(|page| page % 5 != 0).collect();
    let better = store.learn(&first, &set(&order, 3)).await.unwrap();
    drop((saved, first, found));
    assert_ne!(collect(&fixture, &store).await, 0, "the first pack");
    let found = opened(&fixture.store().await, &name).await;
    assert_eq!((packed(&found), found.record.recordings), (order, 3));
    assert_eq!(found.record, better.record);
    assert_eq!(found.state, "registers");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_learnt_late_brings_back_neither_what_was_removed_nor_what_was_made_anew() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let name = function(1);
    let save = async || store.save(name.clone(), captured(&pages(1..=PAGES), None)).await.unwrap();
    let old = save().await;
    let new = save().await;
    assert_ne!(old.record.created, new.record.created);
    let late = store.learn(&old, &set(&[1], 1)).await;
    assert!(matches!(late, Err(SaveError::Replaced)), "{:?}", late.err());
    assert_eq!(opened(&store, &name).await.record, new.record);
    store.remove(&name).await.unwrap();
    let late = store.learn(&new, &set(&[1], 1)).await;
    assert!(matches!(late, Err(SaveError::Replaced)), "{:?}", late.err());
    assert!(store.open(&name).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_damage_stops_has_it_healed_by_who_has_it_open() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let name = function(1);
    let saved = store.save(name.clone(), captured(&pages(1..=PAGES), None)).await.unwrap();
    let files = store.files_of(&name).await.unwrap();
    let manifests = fixture.files("manifests");
    for manifest in &manifests {
        std::fs::write(manifest, b"not what was stored").unwrap();
    }
    // The name itself says what is needed.
    assert_eq!(store.files_of(&name).await.unwrap(), files);
    let mut stops = 0;
    while store.collect(BTreeSet::new()).await.is_err() {
        stops += 1;
        assert!(stops <= manifests.len(), "it stops at what was healed");
        // What it stopped at was noted.
        let suspects = store.suspects().await.unwrap();
        assert_eq!(store.damage(&suspects, &saved).await.unwrap(), []);
    }
    assert_ne!(stops, 0);
    assert_eq!(opened(&fixture.store().await, &name).await.record, saved.record);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_leaves_nothing() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let os = store.save(layer("os"), captured(&pages(1..=PAGES), None)).await.unwrap();
    let mut guest = captured(&pages(2..=PAGES), Some(&os));
    guest.scratch = Some(file_of(b"written"));
    let saved = store.save(function(1), guest).await.unwrap();
    let learnt = store.learn(&saved, &set(&[1, 2], 1)).await.unwrap();
    let names = [os.name.clone(), saved.name.clone()];
    drop((os, saved, learnt));
    for name in &names {
        store.remove(name).await.unwrap();
        store.remove(name).await.unwrap();
        assert!(store.open(name).await.unwrap().is_none());
    }
    assert_eq!(store.names().await.unwrap(), []);
    collect(&fixture, &store).await;
    assert_eq!(fixture.files("manifests"), Vec::<std::path::PathBuf>::new());
    assert_eq!(fixture.files("chunks"), Vec::<std::path::PathBuf>::new());
}

/// A process dies after each of its writes in turn.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_written_last() {
    let fixture = Fixture::new();
    let memory = pages(1..=PAGES);
    let name = function(1);
    let mut crashes = 0;
    loop {
        let mut guest = captured(&memory, None);
        guest.scratch = Some(file_of(b"written"));
        let dying = fixture.crashing(crashes).await;
        let saved = dying.save(name.clone(), guest).await;
        let found = fixture.store().await.open(&name).await.unwrap();
        assert_eq!(saved.is_ok(), found.is_some(), "after {crashes} writes");
        drop((saved, dying));
        if let Some(found) = found {
            assert!(whole(&found.memory).await == memory);
            break;
        }
        // Nothing of it stays.
        collect(&fixture, &fixture.store().await).await;
        assert_eq!(fixture.files("manifests").len() + fixture.files("chunks").len(), 0);
        crashes += 1;
    }
    assert!(crashes > 6, "chunks, manifests and a name: {crashes} writes");

    let before = opened(&fixture.store().await, &name).await.record;
    let mut crashes = 0;
    loop {
        let dying = fixture.crashing(crashes).await;
        let known = opened(&dying, &name).await;
        let learnt = dying.learn(&known, &set(&[3, 2, 1], 1)).await;
        drop(known);
        collect(&fixture, &fixture.store().await).await;
        let found = opened(&fixture.store().await, &name).await;
        assert!(whole(&found.memory).await == memory, "after {crashes} writes");
        match learnt {
            Ok(_) => {
                assert_eq!((packed(&found), found.record.recordings), (vec![3, 2, 1], 1));
                break;
            }
            Err(_) => assert_eq!(found.record, before, "after {crashes} writes"),
        }
        crashes += 1;
    }
    assert!(crashes > 3, "a chunk, two manifests and a name: {crashes} writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_stays_whatever_happens_to_its_name() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let memory = pages(1..=PAGES);
    let mut guest = captured(&memory, None);
    guest.scratch = Some(file_of(b"written"));
    let saved = store.save(function(1), guest).await.unwrap();
    let held = store.learn(&saved, &set(&[2, 1], 1)).await.unwrap();
    drop(saved);
    store.remove(&held.name).await.unwrap();
    collect(&fixture, &store).await;
    assert!(whole(&held.memory).await == memory);
    assert_eq!(whole(held.scratch.as_ref().unwrap()).await, b"written");
    assert!(!whole(held.pack.as_ref().unwrap().file()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_that_nobody_uses_go() {
    let week = Duration::from_secs(7 * 24 * 3600);
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let (used, unused, fresh) = (layer("os"), layer("python3.13"), layer("java21"));
    let of_function = function(1);
    for name in [&used, &unused, &of_function] {
        store.save(name.clone(), captured(&pages([1]), None)).await.unwrap();
    }
    assert_eq!(store.remove_unused_layers(week).await.unwrap(), []);
    fixture.age();
    store.save(fresh.clone(), captured(&pages([1]), None)).await.unwrap();
    let before = opened(&store, &used).await.record;
    store.used(&used).await.unwrap();
    assert_eq!(opened(&store, &used).await.record, before);
    assert_eq!(store.remove_unused_layers(week).await.unwrap(), std::slice::from_ref(&unused));
    let mut left: Vec<_> = store.names().await.unwrap();
    left.sort();
    let mut expected = vec![used, fresh, of_function];
    expected.sort();
    assert_eq!(left, expected);

    store.used(&unused).await.unwrap();
    assert!(store.open(&unused).await.unwrap().is_none(), "a use does not bring it back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_cannot_tell_what_is_needed_deletes_nothing() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let saved = store.save(function(1), captured(&pages([1]), None)).await.unwrap();
    let gone = store.save(function(2), captured(&pages([2]), None)).await.unwrap();
    store.remove(&gone.name).await.unwrap();
    let (name, record) = (saved.name.clone(), saved.record.clone());
    drop((saved, gone));
    let files = fixture.files("");
    let whole_name = std::fs::read(fixture.at(&name)).unwrap();

    for damage in ["", "what nobody wrote", &"0".repeat(64)] {
        std::fs::write(fixture.at(&name), damage).unwrap();
        fixture.age();
        for _ in 0..2 {
            let error = store.collect(BTreeSet::new()).await.unwrap_err();
            assert!(error.to_string().contains(&name.to_string()), "{error}");
        }
    }
    std::fs::write(fixture.at(&name), whole_name).unwrap();
    let memory = fixture.manifest(&record.memory);
    let bytes = std::fs::read(&memory).unwrap();
    std::fs::write(&memory, b"damaged").unwrap();
    fixture.age();
    store.collect(BTreeSet::new()).await.unwrap_err();
    assert!(files.iter().all(|file| file.exists()));

    std::fs::write(&memory, bytes).unwrap();
    assert_ne!(collect(&fixture, &store).await, 0);
    assert!(opened(&store, &name).await.memory.size() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn saves_and_collections_go_on_together() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let os = store.save(layer("os"), captured(&pages(1..=PAGES), None)).await.unwrap();
    let busy = {
        let (store, dir) = (store.clone(), fixture.path().join("objects"));
        tokio::spawn(async move {
            let mut collections = 0;
            // Ends with the file that the test makes.
            while !dir.parent().unwrap().join("done").exists() {
                store.collect(BTreeSet::new()).await.unwrap();
                collections += 1;
            }
            collections
        })
    };
    let mut kept = vec![];
    for turn in 0..20_u32 {
        let memory = pages(turn + 1..=turn + PAGES);
        let saved = store.save(function(1), captured(&memory, Some(&os))).await.unwrap();
        let learnt = store.learn(&saved, &set(&[turn, turn + 1], 1)).await.unwrap();
        match turn % 2 {
            0 => store.remove(&learnt.name).await.unwrap(),
            // Held, as what is old and not held has to be named when a collection
            // begins.
            _ => kept.push((learnt, memory)),
        }
        fixture.age();
    }
    File::create(fixture.path().join("done")).unwrap();
    assert!(busy.await.unwrap() > 0);
    let kept: Vec<_> = kept.into_iter().map(|(held, memory)| (held.name, memory)).collect();
    collect(&fixture, &store).await;
    for (name, memory) in kept {
        let found = opened(&store, &name).await;
        assert!(whole(&found.memory).await == memory);
        assert_eq!(packed(&found).len(), 2);
    }
}
