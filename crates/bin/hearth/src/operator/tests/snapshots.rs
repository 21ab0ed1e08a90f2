//! What an operator sees of snapshots that are really stored, over a real socket.

use super::Memory;
use crate::operator::{Collection, Desk, Keeper, OperatorClient, OperatorSocket, SnapshotDesk};
use async_trait::async_trait;
use hearth_chunk_store::{ChunkStore, Keyring, ManifestId, Options, Owner};
use hearth_snapshot_store::{About, Captured, Holds, LayerName, Name, SnapshotStore, WorkingSetOf};
use hearth_types::{AccountId, FunctionName, RevisionId, SnapshotId, Version, VersionKey};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Names given by the test; a collection is the store's alone.
struct Names {
    store: SnapshotStore,
    versions: Mutex<BTreeMap<SnapshotId, VersionKey>>,
    code: Mutex<BTreeSet<(Owner, ManifestId)>>,
}

#[async_trait]
impl Keeper for Names {
    async fn versions(&self) -> anyhow::Result<BTreeMap<SnapshotId, VersionKey>> {
        Ok(self.versions.lock().unwrap().clone())
    }

    async fn code_files(&self) -> anyhow::Result<BTreeSet<(Owner, ManifestId)>> {
        Ok(self.code.lock().unwrap().clone())
    }

    async fn collect(&self, grace: Option<Duration>) -> anyhow::Result<Collection> {
        let grace = grace.unwrap_or(self.store.chunks().grace());
        let files = self.store.collect_older(BTreeSet::new(), grace).await?;
        let chunks_deleted = files.chunks_swept;
        Ok(Collection { chunks_deleted, chunks_kept: files.chunks_live, ..Collection::default() })
    }
}

async fn store(dir: &Path) -> SnapshotStore {
    let objects_dir = dir.join("objects");
    std::fs::create_dir(&objects_dir).unwrap();
    let objects: Arc<dyn ObjectStore> =
        Arc::new(LocalFileSystem::new_with_prefix(objects_dir).unwrap());
    let keyring = Keyring::local(&dir.join("keyring")).await.unwrap();
    let options = Options { memory_bytes: 0, ..Options::default() };
    SnapshotStore::new(ChunkStore::new(objects.clone(), keyring, options).unwrap(), objects)
}

fn pages(numbers: &[u32]) -> std::fs::File {
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes().repeat(1024)).collect();
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &bytes).unwrap();
    file
}

fn captured<'a>(memory: &[u32], parent: Option<&'a hearth_snapshot_store::Stored>) -> Captured<'a> {
    Captured {
        about: About { machine: "test".into(), memory_mib: 1, vcpus: 1, images: vec!["os".into()] },
        memory: Arc::new(pages(memory)),
        parent,
        state: "registers".into(),
        scratch: None,
        anew: false,
    }
}

fn key(account: &str) -> VersionKey {
    VersionKey {
        account: account.parse().unwrap(),
        function: "hello".parse().unwrap(),
        version: Version::Published(3),
        revision: RevisionId::new(),
    }
}

/// Two accounts with a function of the same name, on one layer.
struct Stage {
    dir: tempfile::TempDir,
    names: Arc<Names>,
    function: Name,
    client: OperatorClient,
    _server: tokio::task::JoinHandle<()>,
}

const FIRST: &str = "000000000001";
const SECOND: &str = "000000000002";

impl Stage {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path()).await;
        let layer = Name::Layer(LayerName::of("python3.13", &["machine"]));
        let layer = store.save(layer, captured(&[1, 2, 3, 4, 0, 0], None)).await.unwrap();
        let mut versions = BTreeMap::new();
        let mut functions = vec![];
        for account in [FIRST, SECOND] {
            let (key, id) = (key(account), SnapshotId::new());
            let name = Name::Function(key.account.clone(), id);
            let saved = store.save(name.clone(), captured(&[1, 2, 9, 0, 0, 0], Some(&layer)));
            let set = WorkingSetOf { pages: vec![2, 0], recordings: 1 };
            store.learn(&saved.await.unwrap(), &set).await.unwrap();
            versions.insert(id, key);
            functions.push(name);
        }
        let names = Arc::new(Names {
            store: store.clone(),
            versions: Mutex::new(versions),
            code: Mutex::default(),
        });
        let desk = Desk {
            accounts: Arc::new(Memory::default()),
            snapshots: SnapshotDesk::new(Some(store), Arc::clone(&names) as _),
        };
        let socket = OperatorSocket::bind(dir.path()).unwrap();
        let server = tokio::spawn(socket.serve(Arc::new(desk), CancellationToken::new()));
        let client = OperatorClient::connect(dir.path()).await.unwrap();
        Self { dir, names, function: functions.remove(0), client, _server: server }
    }

    async fn show(&mut self, account: Option<&str>) -> anyhow::Result<crate::operator::Shown> {
        let account: Option<AccountId> = account.map(|account| account.parse().unwrap());
        let function: FunctionName = "hello".parse().unwrap();
        self.client.snapshot(account.as_ref(), (&function, Version::Published(3)), true).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_listed_and_shown() {
    let mut stage = Stage::new().await;
    let all = stage.client.snapshots().await.unwrap();
    assert_eq!(all.len(), 3);
    let summary = all[0].summary.as_ref().unwrap();
    assert!(all[0].of.is_none() && summary.parent.is_none(), "layers come first");
    assert_eq!((summary.memory.own_bytes, summary.memory.zero_pages), (4 * 4096, 2));
    let of = all[1].of.as_ref().unwrap();
    assert_eq!((of.account.as_str(), of.version), (FIRST, Some(Version::Published(3))));

    let several = stage.show(None).await.unwrap_err().to_string();
    assert!(several.contains("several") && several.contains(SECOND), "{several}");
    let shown = stage.show(Some(FIRST)).await.unwrap();
    assert_eq!(shown.line.name, stage.function.to_string());
    let summary = shown.line.summary.unwrap();
    assert_eq!((summary.memory.own_bytes, summary.memory.shared_bytes), (4096, 2 * 4096));
    assert_eq!(summary.working_set.unwrap().pages, 2);
    assert_eq!((shown.chain.len(), shown.chain[0].state.as_str()), (1, "there"));
    let map = shown.map.unwrap();
    let cell = |at: usize| (map.cells[at].holds, map.cells[at].touched);
    assert_eq!(map.cells.len(), 6);
    assert_eq!([cell(0), cell(1)], [(Holds::Shared, Some(1)), (Holds::Shared, None)]);
    assert_eq!([cell(2), cell(3)], [(Holds::Own, Some(0)), (Holds::Zero, None)]);

    let layer = stage.client.layer("python3.13-", false).await.unwrap();
    assert!(layer.chain.is_empty() && layer.map.is_none());
    let none = stage.client.layer("java21", false).await.unwrap_err().to_string();
    assert_eq!(none, "there is no snapshot of layer java21");
    let none = stage.show(Some("000000000003")).await.unwrap_err().to_string();
    assert_eq!(none, "there is no snapshot of hello:3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_leaves_what_is_named() {
    let mut stage = Stage::new().await;
    let none = Some(Duration::ZERO);
    stage.client.collect(none).await.unwrap();
    let before = stage.client.collect(none).await.unwrap();
    assert_eq!((before.chunks_deleted, before.chunks_kept > 0), (0, true));

    let layer = stage
        .names
        .store
        .names()
        .await
        .unwrap()
        .into_iter()
        .find(|name| matches!(name, Name::Layer(_)));
    stage.names.store.remove(&layer.unwrap()).await.unwrap();
    stage.names.store.remove(&stage.function).await.unwrap();
    for _ in 0..2 {
        assert_eq!(stage.client.collect(None).await.unwrap().chunks_deleted, 0, "it is young");
    }
    assert!(stage.client.collect(none).await.unwrap().chunks_deleted > 0);
    let shown = stage.show(Some(SECOND)).await.unwrap();
    assert_eq!(shown.chain[0].state, "gone");
    assert!(stage.client.verify().await.unwrap().is_whole(), "what it shared stayed");
    // Its version still says that it has one.
    let gone = stage.show(Some(FIRST)).await.unwrap_err().to_string();
    assert!(gone.ends_with("any more"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_and_told() {
    let mut stage = Stage::new().await;
    let whole = stage.client.verify().await.unwrap();
    assert!(whole.is_whole() && whole.objects > 8, "{whole:?}");

    let objects = stage.dir.path().join("objects");
    let name = stage.function.to_string();
    std::fs::write(objects.join(&name), "nothing").unwrap();
    let names = stage.names.store.names().await.unwrap();
    let layer = names.iter().find(|name| matches!(name, Name::Layer(_))).unwrap();
    let layer = stage.names.store.open(layer).await.unwrap().unwrap();
    let memory = layer.record.memory.to_string();
    std::fs::write(objects.join("manifests").join(&memory[..2]).join(&memory), "damaged").unwrap();
    drop(layer);
    let found = stage.client.verify().await.unwrap();
    assert!(!found.is_whole());
    assert!(found.snapshots_damaged[0].contains(&name), "{found:?}");
    let [damaged] = &found.damaged[..] else { panic!("{found:?}") };
    assert_eq!(damaged.object, format!("manifest {memory}"));
    assert_eq!((damaged.what.as_str(), damaged.level.as_str()), ("corrupt", "origin"));
    // The others are listed all the same, and nothing is deleted.
    let all = stage.client.snapshots().await.unwrap();
    let damaged = all.iter().find(|line| line.name == name).unwrap();
    assert!(damaged.error.as_ref().unwrap().contains("damaged"), "{damaged:?}");
    // The manifest was written again from a copy that came with the layer's name.
    let whole = all.iter().filter(|line| line.summary.is_some() && line.error.is_none());
    assert_eq!(whole.count(), 2, "{all:?}");
    assert_eq!(stage.client.verify().await.unwrap().damaged.len(), 0);
    let refused = stage.client.collect(None).await.unwrap_err().to_string();
    assert!(refused.contains("nothing was deleted"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_code_is_found() {
    let mut stage = Stage::new().await;
    let owner = Owner::Unknown(FIRST.parse().unwrap());
    let chunks = stage.names.store.chunks();
    let image = chunks.write(&owner, vec![7; 4096]).await.unwrap();
    stage.names.code.lock().unwrap().insert((owner, image.id));
    assert!(stage.client.verify().await.unwrap().is_whole());
    let (chunk, _) = image.file.names().next().unwrap();
    let chunk = chunk.to_string();
    let at = stage.dir.path().join("objects/chunks").join(&chunk[..2]).join(&chunk);
    std::fs::write(at, "damaged").unwrap();
    let found = stage.client.verify().await.unwrap();
    let [damaged] = &found.damaged[..] else { panic!("{found:?}") };
    assert_eq!(damaged.object, format!("chunk {chunk}"));
}

#[tokio::test]
async fn without_snapshots_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let socket = OperatorSocket::bind(dir.path()).unwrap();
    let server = tokio::spawn(socket.serve(super::desk(), CancellationToken::new()));
    let mut client = OperatorClient::connect(dir.path()).await.unwrap();
    for error in [client.snapshots().await.unwrap_err(), client.verify().await.unwrap_err()] {
        assert!(error.to_string().contains("takes no snapshots"), "{error}");
    }
    // Code is collected all the same.
    client.collect(None).await.unwrap();
    server.abort();
}
