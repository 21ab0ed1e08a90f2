//! Tests of the engine on a disk that fails: power loss, full disk, failing
//! syncs. The disk is simulated, so each fault comes at a chosen operation.

use crate::RedbStore;
use hearth_services::metastore::{MetaStore, MetaStoreError, Txn, TxnOutcome, Watch};
use parking_lot::Mutex;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redb::StorageBackend;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

const SECTOR_BYTES: usize = 512;
const POWER_LOSSES: u64 = 25;

/// What a disk does from some operation on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Nothing works, until the machine is started again.
    PowerLoss,
    /// Writes fail, reads and syncs work.
    Full,
    /// Writes work, syncs report failure after they worked or not.
    SyncFails,
}

#[derive(Debug, Default)]
struct Disk {
    /// What a power loss leaves for sure.
    synced: Vec<u8>,
    /// What reads see.
    current: Vec<u8>,
    /// What lies between the two.
    unsynced: Vec<Change>,
    operations: u64,
    fault: Option<(u64, Fault)>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => {
                let end = offset + data.len();
                image.resize(image.len().max(end), 0);
                image[*offset..end].copy_from_slice(data);
            }
            Self::Resize(len) => image.resize(*len, 0),
        }
    }
}

impl Disk {
    fn fault(&mut self) -> Option<Fault> {
        self.operations += 1;
        self.fault.filter(|(at, _)| self.operations > *at).map(|(_, fault)| fault)
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        match self.fault() {
            Some(Fault::PowerLoss) => Err(io::Error::other("no power")),
            Some(Fault::Full) => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::SyncFails) | None => {
                change.apply(&mut self.current);
                self.unsynced.push(change);
                Ok(())
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.fault() {
            Some(Fault::PowerLoss) => Err(io::Error::other("no power")),
            Some(Fault::SyncFails) => Err(io::Error::other("sync failed")),
            Some(Fault::Full) | None => {
                for change in self.unsynced.drain(..) {
                    change.apply(&mut self.synced);
                }
                Ok(())
            }
        }
    }

    /// The disk after a power loss: of what was not synced any sector may
    /// have been written, in any order.
    fn after_power_loss(&self, rng: &mut StdRng) -> Self {
        let mut image = self.synced.clone();
        for change in &self.unsynced {
            match change {
                Change::Write(offset, data) => {
                    for (i, sector) in data.chunks(SECTOR_BYTES).enumerate() {
                        if rng.random() {
                            let offset = offset + i * SECTOR_BYTES;
                            Change::Write(offset, sector.to_vec()).apply(&mut image);
                        }
                    }
                }
                // Metadata of the file system is journalled.
                Change::Resize(_) => change.apply(&mut image),
            }
        }
        Self { synced: image.clone(), current: image, ..Self::default() }
    }
}

#[derive(Clone, Debug, Default)]
struct SharedDisk(Arc<Mutex<Disk>>);

impl SharedDisk {
    fn open(&self) -> RedbStore {
        let disk = self.clone();
        let opener = Box::new(move || redb::Database::builder().create_with_backend(disk.clone()));
        RedbStore::with_opener(Path::new("simulated"), opener).unwrap()
    }

    /// Lets `fault` begin after that many more operations.
    fn fail_after(&self, operations: u64, fault: Fault) {
        let mut disk = self.0.lock();
        disk.fault = Some((disk.operations + operations, fault));
    }

    fn heal(&self) {
        self.0.lock().fault = None;
    }
}

impl StorageBackend for SharedDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut disk = self.0.lock();
        if disk.fault() == Some(Fault::PowerLoss) {
            return Err(io::Error::other("no power"));
        }
        let offset = offset as usize;
        let found = disk.current.get(offset..offset + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().change(Change::Resize(len as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.lock().sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.lock().change(Change::Write(offset as usize, data.to_vec()))
    }
}

/// Writes pairs of keys from several tasks until the disk fails; the keys
/// that were acknowledged.
async fn write_until_failure(store: &RedbStore, round: &str) -> Vec<String> {
    let write = |writer: u32| async move {
        let mut acknowledged = Vec::new();
        loop {
            let key = format!("{round}/{writer}/{}", acknowledged.len());
            let value = vec![b'v'; 100 * acknowledged.len() % 5000];
            let txn = Txn::new().put(&key, value.clone()).put(format!("{key}/pair"), value);
            match store.transact(txn).await {
                Ok(TxnOutcome::Committed(_)) => acknowledged.push(key),
                Ok(TxnOutcome::Conflict) => panic!("a put conflicts with nothing"),
                Err(MetaStoreError::Engine(_) | MetaStoreError::OutcomeUnknown(_)) => {
                    return acknowledged;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    let (a, b, c) = tokio::join!(write(0), write(1), write(2));
    [a, b, c].concat()
}

async fn assert_kept(store: &RedbStore, acknowledged: &[String]) {
    for key in acknowledged {
        for key in [key, &format!("{key}/pair")] {
            assert!(store.get(key).await.unwrap().is_some(), "{key} was acknowledged and is gone");
        }
    }
    let (entries, _) = store.list("", None, 10_000).await.unwrap();
    assert_eq!(entries.len() % 2, 0, "half a transaction");
}

#[tokio::test]
async fn power_loss_keeps_what_was_acknowledged() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut disk = SharedDisk::default();
    drop(disk.open());
    let mut acknowledged = Vec::new();
    for round in 0..POWER_LOSSES {
        let store = disk.open();
        assert_kept(&store, &acknowledged).await;
        disk.fail_after(rng.random_range(0..400), Fault::PowerLoss);
        acknowledged.extend(write_until_failure(&store, &round.to_string()).await);
        drop(store);
        let after = disk.0.lock().after_power_loss(&mut rng);
        disk = SharedDisk(Arc::new(Mutex::new(after)));
    }
    assert_kept(&disk.open(), &acknowledged).await;
    assert!(acknowledged.len() as u64 > POWER_LOSSES, "it wrote something");
}

/// A follower of the whole store, as a role is: list, watch, list again when
/// told to.
struct Follower {
    state: BTreeMap<String, Vec<u8>>,
    watch: Box<dyn Watch>,
}

impl Follower {
    async fn new(store: &RedbStore) -> Self {
        let (entries, revision) = store.list("", None, 10_000).await.unwrap();
        let state = entries.into_iter().map(|(key, found)| (key, found.value.to_vec())).collect();
        Self { state, watch: store.watch("", revision).await.unwrap() }
    }

    async fn until(&mut self, store: &RedbStore, key: &str) {
        while !self.state.contains_key(key) {
            match self.watch.next().await {
                Ok(events) => {
                    for event in events {
                        match event.value {
                            Some(value) => self.state.insert(event.key, value.to_vec()),
                            None => self.state.remove(&event.key),
                        };
                    }
                }
                Err(MetaStoreError::Compacted { .. }) => *self = Self::new(store).await,
                Err(error) => panic!("{error:?}"),
            }
        }
    }
}

async fn recovers_from(fault: Fault, operations: u64) {
    let disk = SharedDisk::default();
    let store = disk.open();
    let mut follower = Follower::new(&store).await;
    disk.fail_after(operations, fault);
    let acknowledged = write_until_failure(&store, "before").await;
    let still_failing = store.transact(Txn::new().put("x", vec![0; 10_000])).await;
    let has_failed = |e| matches!(e, MetaStoreError::Engine(_) | MetaStoreError::OutcomeUnknown(_));
    assert!(still_failing.is_err_and(has_failed));

    disk.heal();
    let healed = Txn::new().put("z/1", "v").put("z/2", "v");
    assert!(matches!(store.transact(healed).await, Ok(TxnOutcome::Committed(_))));
    // The write in between may have happened; it is no pair.
    store.transact(Txn::new().delete("x")).await.unwrap();
    store.transact(Txn::new().put("zz/1", "v").put("zz/2", "v")).await.unwrap();
    assert_kept(&store, &acknowledged).await;
    follower.until(&store, "zz/2").await;
    assert_eq!(follower.state, Follower::new(&store).await.state, "followers see what is there");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() })]
    #[test]
    fn writes_work_again_when_the_disk_does(
        fault in prop_oneof![Just(Fault::Full), Just(Fault::SyncFails)],
        operations in 0u64..300,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(recovers_from(fault, operations));
    }
}
