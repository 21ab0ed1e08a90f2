//! Writes, opens, reads, collections and crashes in random order and at once:
//! nothing live is lost, nothing dead stays. `HEARTH_SEED` repeats a run.

mod support;

use hearth_chunk_store::{ChunkStore, ManifestId, OpenError, Owner, ReadError, StoredFile};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use support::{Fixture, account, file_of, layer, unknown, whole};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

const RUNS: u64 = 4;
const ROUNDS: u32 = 25;

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn one_of<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { Some(&from[self.below(from.len() as u64) as usize]) }
    }

    /// Few pages of few contents, so that files share chunks.
    fn file(&mut self) -> Vec<u8> {
        let (first, pages) = (self.below(3) as u32, self.below(300) as u32 + 1);
        let mut numbers: Vec<u32> = (first..first + pages).collect();
        for _ in 0..self.below(4) {
            let at = self.below(u64::from(pages)) as usize;
            numbers[at] = self.below(5) as u32 * 777;
        }
        file_of(&numbers)
    }

    fn owner(&mut self) -> Owner {
        let owners = [account(1), account(2), unknown(1), layer()];
        owners[self.below(4) as usize].clone()
    }
}

type Files = BTreeMap<(Owner, ManifestId), Arc<Vec<u8>>>;
type Made = (Owner, StoredFile, Arc<Vec<u8>>);

/// What the world may count on.
#[derive(Default)]
struct Model {
    /// Files that every collection is told of.
    roots: Files,
    /// Files that were roots: they may be gone.
    dropped: Files,
}

/// What the process holds in its memory.
#[derive(Default)]
struct Held {
    open: Vec<(StoredFile, Arc<Vec<u8>>)>,
    writes: Vec<JoinHandle<Made>>,
    checks: Vec<JoinHandle<()>>,
}

async fn write(
    store: ChunkStore,
    owner: Owner,
    bytes: Vec<u8>,
    parent: Option<StoredFile>,
) -> Made {
    let written = match &parent {
        Some(parent) => store.write_layer(&owner, bytes.clone(), parent).await,
        None => store.write(&owner, bytes.clone()).await,
    };
    // The parent may be let go of now.
    (owner, written.unwrap().file, Arc::new(bytes))
}

async fn check_root(store: ChunkStore, owner: Owner, id: ManifestId, bytes: Arc<Vec<u8>>) {
    let file = store.open(&owner, &id).await.expect("a root can be opened");
    assert!(whole(&file).await == *bytes, "a root can be read");
}

async fn check_dropped(store: ChunkStore, owner: Owner, id: ManifestId, bytes: Arc<Vec<u8>>) {
    match store.open(&owner, &id).await {
        Ok(file) => assert!(whole(&file).await == *bytes, "what opens can be read whole"),
        Err(OpenError::Manifest(_, ReadError::Missing(_))) => {}
        Err(error) => panic!("{error:?}"),
    }
}

/// One round: some of it goes on while the next one begins.
async fn round(chance: &mut Chance, store: &ChunkStore, model: &mut Model, held: &mut Held) {
    for _ in 0..=chance.below(4) {
        let parent = chance.one_of(&held.open).map(|(file, _)| file.clone());
        let parent = parent.filter(|_| chance.below(2) == 0);
        let writing = write(store.clone(), chance.owner(), chance.file(), parent);
        held.writes.push(tokio::spawn(writing));
    }
    for (of, is_root) in [(&model.roots, true), (&model.dropped, false)] {
        let of: Vec<_> = of.iter().collect();
        if let Some(((owner, id), bytes)) = chance.one_of(&of) {
            let (store, owner, id, bytes) = (store.clone(), owner.clone(), *id, (*bytes).clone());
            held.checks.push(match is_root {
                true => tokio::spawn(check_root(store, owner, id, bytes)),
                false => tokio::spawn(check_dropped(store, owner, id, bytes)),
            });
        }
    }
    if chance.below(3) > 0 {
        // What is a root now stays one until this is over, and what is written
        // meanwhile becomes one only afterwards.
        store.collect(model.roots.keys().cloned().collect()).await.unwrap();
    }
    if let Some((file, bytes)) = chance.one_of(&held.open) {
        assert!(whole(file).await == **bytes, "what is open can be read");
    }
    for made in held.writes.drain(..) {
        let (owner, file, bytes) = made.await.unwrap();
        let key = (owner, file.id());
        model.dropped.remove(&key);
        model.roots.insert(key, bytes.clone());
        if chance.below(2) == 0 {
            held.open.push((file, bytes));
        }
    }
    if chance.below(3) == 0 {
        for check in held.checks.drain(..) {
            check.await.unwrap();
        }
        // A check of a root must be over before it stops being one.
        while model.roots.len() as u64 > chance.below(12) {
            let keys: Vec<_> = model.roots.keys().cloned().collect();
            let key = chance.one_of(&keys).unwrap().clone();
            let bytes = model.roots.remove(&key).unwrap();
            model.dropped.insert(key, bytes);
        }
    }
    while held.open.len() as u64 > chance.below(6) {
        let at = chance.below(held.open.len() as u64) as usize;
        held.open.swap_remove(at);
    }
}

fn run(seed: u64) {
    eprintln!("HEARTH_SEED={seed}");
    let mut chance = Chance(seed);
    let mut fixture = Fixture::new();
    fixture.options.memory_bytes = chance.below(2) * (1 << 20);
    if chance.below(2) == 0 {
        fixture.options.disk = None;
    }
    fixture.origin.dawdle.store(seed | 1, SeqCst);
    let mut model = Model::default();
    let mut left = ROUNDS;
    while left > 0 {
        // One process, which ends in a crash: its runtime is dropped with all
        // that goes on in it.
        let process = Runtime::new().unwrap();
        let store = process.block_on(fixture.store());
        let mut held = Held::default();
        let rounds = u32::try_from(chance.below(10) + 1).unwrap().min(left);
        for _ in 0..rounds {
            process.block_on(round(&mut chance, &store, &mut model, &mut held));
        }
        left -= rounds;
        process.block_on(async {
            for check in held.checks.drain(..) {
                check.await.unwrap();
            }
            // Caught by the crash somewhere.
            let writing = write(store.clone(), chance.owner(), chance.file(), None);
            let _cut = tokio::spawn(writing);
            let roots = model.roots.keys().cloned().collect();
            let collecting = store.clone();
            let _cut = tokio::spawn(async move { collecting.collect(roots).await });
            for _ in 0..chance.below(200) {
                tokio::task::yield_now().await;
            }
        });
        drop(process);
    }
    let process = Runtime::new().unwrap();
    process.block_on(async {
        let store = fixture.store().await;
        for _ in 0..2 {
            store.collect(model.roots.keys().cloned().collect()).await.unwrap();
        }
        assert_eq!(fixture.origin.count("manifests").await, model.roots.len());
        let report = store.verify(&model.roots.keys().cloned().collect()).await;
        assert!(report.is_whole() && report.damaged.is_empty(), "{report:?}");
        let chunks = fixture.origin.count("chunks").await;
        assert_eq!(report.objects as usize, chunks + model.roots.len(), "nothing dead is left");
        for ((owner, id), bytes) in model.roots {
            check_root(store.clone(), owner, id, bytes).await;
        }
        for _ in 0..2 {
            store.collect(Default::default()).await.unwrap();
        }
        assert_eq!(fixture.origin.count("chunks").await, 0);
        assert_eq!(fixture.origin.count("manifests").await, 0);
    });
}

#[test]
fn nothing_live_is_lost_and_nothing_dead_stays() {
    match std::env::var("HEARTH_SEED") {
        Ok(seed) => run(seed.parse().unwrap()),
        Err(_) => {
            let first = u64::from_le_bytes(hearth_ambient::random::bytes());
            (0..RUNS).for_each(|n| run(first.wrapping_add(n)));
        }
    }
}
