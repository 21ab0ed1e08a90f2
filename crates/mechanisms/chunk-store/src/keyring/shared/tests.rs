//! The nodes of a cluster have the same keys, and who is no node of it gets none.

use super::*;
use crate::bounds::{SALT_AGE_MAX, SALT_SEEN_MAX};
use crate::keyring::WritingKeys;
use crate::{ChunkStore, MASTER_KEY_FILE};
use bytes::Bytes;
use hearth_ambient::clock;
use hearth_chunk_format::{ChunkName, Owner, PAGE_BYTES, SaltGeneration, seal_chunk};
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use object_store::{ObjectStoreExt, PutPayload};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// How long the object store takes to answer. What two nodes ask of it at once happens
/// in turns.
const ANSWER: Duration = Duration::from_millis(1);

/// A cluster: an object store, and a master key to give to nodes.
struct Cluster {
    objects: Arc<ThrottledStore<InMemory>>,
    dir: TempDir,
}

impl Cluster {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        LocalMasterKey::create(&dir.path().join(MASTER_KEY_FILE)).await.unwrap();
        let slow = ThrottleConfig {
            wait_get_per_call: ANSWER,
            wait_put_per_call: ANSWER,
            ..ThrottleConfig::default()
        };
        Self { objects: Arc::new(ThrottledStore::new(InMemory::new(), slow)), dir }
    }

    fn master_key(&self) -> PathBuf {
        self.dir.path().join(MASTER_KEY_FILE)
    }

    async fn node(&self) -> Keyring {
        Keyring::shared(&self.master_key(), self.objects.clone()).await.unwrap()
    }

    async fn refusal(&self, master_key: &Path) -> KeyringError {
        Keyring::shared(master_key, self.objects.clone()).await.err().expect("it is refused")
    }

    async fn bytes(&self, name: &str) -> Bytes {
        self.objects.get(&at(name)).await.unwrap().bytes().await.unwrap()
    }

    async fn put(&self, name: &str, bytes: impl Into<PutPayload>) {
        self.objects.put(&at(name), bytes.into()).await.unwrap();
    }
}

fn at(name: &str) -> ObjectPath {
    ObjectPath::from(format!("keys/{name}"))
}

fn account() -> Owner {
    "account/000000000001".parse().unwrap()
}

fn unknown() -> Owner {
    "unknown/000000000001".parse().unwrap()
}

/// Something that only these keys can tell.
fn seen(keys: &WritingKeys) -> (ChunkName, Option<SaltGeneration>) {
    (seal_chunk(&keys.chunks, vec![1; PAGE_BYTES]).0.name, keys.salt)
}

async fn sees(ring: &Keyring, owner: Owner) -> (ChunkName, Option<SaltGeneration>) {
    seen(&ring.writing_keys(&owner).await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn nodes_have_the_same_keys_also_those_that_both_make_at_once() {
    let cluster = Cluster::new().await;
    let open = || async { cluster.node().await };
    let (first, second) = tokio::join!(open(), open());
    for owner in [account(), unknown(), "layer/x".parse().unwrap()] {
        let (one, other) = tokio::join!(sees(&first, owner.clone()), sees(&second, owner));
        assert_eq!(one, other);
    }
    let reader = Keyring::shared_to_read(&cluster.master_key(), cluster.objects.clone()).await;
    assert_eq!(sees(&reader.unwrap(), account()).await, sees(&first, account()).await);
}

#[tokio::test(start_paused = true)]
async fn one_node_reads_what_another_wrote_and_a_collection_leaves_the_keys() {
    let cluster = Cluster::new().await;
    let store = |ring| ChunkStore::new(cluster.objects.clone(), ring, Options::default()).unwrap();
    let (writer, reader) = (store(cluster.node().await), store(cluster.node().await));
    let bytes = vec![7; 3 * PAGE_BYTES];
    let written = writer.write(&account(), bytes.clone()).await.unwrap();
    let file = reader.open(&account(), &written.id).await.unwrap();
    assert_eq!(file.read_at(0, bytes.len()).await.unwrap(), bytes);
    drop((written, file));
    for _ in 0..2 {
        writer.collect_older(BTreeSet::new(), Duration::ZERO).await.unwrap();
    }
    for name in ["check.key", "account-000000000001.key"] {
        assert!(!cluster.bytes(name).await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn another_master_key_is_refused_at_once() {
    let (cluster, stranger) = (Cluster::new().await, Cluster::new().await);
    let ring = cluster.node().await;
    let before = cluster.bytes(CHECK).await;
    let error = cluster.refusal(&stranger.master_key()).await;
    assert!(matches!(error, KeyringError::OtherMaster(_)), "{error:?}");
    let reader = Keyring::shared_to_read(&stranger.master_key(), cluster.objects.clone()).await;
    assert!(matches!(reader, Err(KeyringError::OtherMaster(_))));
    assert_eq!(cluster.bytes(CHECK).await, before);

    // Nor does it help that the check is gone: other keys tell as well.
    sees(&ring, account()).await;
    cluster.objects.delete(&at(CHECK)).await.unwrap();
    let error = cluster.refusal(&stranger.master_key()).await;
    assert!(matches!(error, KeyringError::OtherMaster(_)), "{error:?}");
    assert_eq!(sees(&cluster.node().await, account()).await, sees(&ring, account()).await);
}

#[tokio::test(start_paused = true)]
async fn of_two_first_nodes_with_different_master_keys_one_is_refused() {
    let (cluster, stranger) = (Cluster::new().await, Cluster::new().await);
    let (one, other) = (cluster.master_key(), stranger.master_key());
    let (one, other) = tokio::join!(
        Keyring::shared(&one, cluster.objects.clone()),
        Keyring::shared(&other, cluster.objects.clone()),
    );
    let refused = match (one, other) {
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
        (one, other) => panic!("open: {} and {}", one.is_ok(), other.is_ok()),
    };
    assert!(matches!(refused, KeyringError::OtherMaster(_)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_master_key_is_told_and_not_made() {
    let cluster = Cluster::new().await;
    let nowhere = cluster.dir.path().join("none.key");
    let error = cluster.refusal(&nowhere).await;
    assert!(matches!(error, KeyringError::NoMaster(_)), "{error:?}");
    assert!(error.to_string().contains("hearth cluster issue"), "{error}");
    assert!(!nowhere.exists());
    let reader = Keyring::shared_to_read(&cluster.master_key(), cluster.objects.clone()).await;
    assert!(matches!(reader, Err(KeyringError::NotSetUp)), "a reader sets nothing up");
    assert!(cluster.objects.get(&at(CHECK)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn any_byte_that_flips_in_any_key_is_noticed() {
    let cluster = Cluster::new().await;
    sees(&cluster.node().await, unknown()).await;
    for name in [CHECK, "account-000000000001.key", "salt.key"] {
        let whole = cluster.bytes(name).await;
        for at in 0..whole.len() {
            let mut flipped = whole.to_vec();
            flipped[at] ^= 0x10;
            cluster.put(name, flipped).await;
            let failed = match Keyring::shared(&cluster.master_key(), cluster.objects.clone()).await
            {
                Err(error) => error,
                Ok(ring) => ring.writing_keys(&unknown()).await.unwrap_err(),
            };
            assert!(matches!(failed, KeyringError::Damaged(_)), "{name} at {at}: {failed:?}");
        }
        cluster.put(name, whole).await;
    }
    cluster.put(CHECK, vec![0; 1 << 20]).await;
    let error = cluster.refusal(&cluster.master_key()).await;
    assert!(matches!(error, KeyringError::Damaged(_)), "too long: {error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_salt_that_another_node_replaced_is_used_within_minutes() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.node().await, cluster.node().await);
    clock::set(Duration::from_secs(1_800_000_000));
    let before = sees(&second, unknown()).await;
    assert_eq!(sees(&first, unknown()).await, before);
    first.rotate_salt().await.unwrap();
    let after = sees(&first, unknown()).await;
    assert_ne!(after, before);
    assert_eq!(sees(&second, unknown()).await, before, "it has not looked yet");
    tokio::time::advance(SALT_SEEN_MAX).await;
    assert_eq!(sees(&second, unknown()).await, after);

    // Too old for both: the second to notice takes the first one's.
    clock::set(Duration::from_secs(1_800_000_000) + SALT_AGE_MAX);
    let replaced = sees(&first, unknown()).await;
    assert_eq!(replaced.1.unwrap().0.get(), 3);
    assert_eq!(sees(&second, unknown()).await, replaced);
}

#[tokio::test(start_paused = true)]
async fn a_salt_that_two_nodes_replace_at_once_leaves_all_readable() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.node().await, cluster.node().await);
    clock::set(Duration::from_secs(1_800_000_000));
    sees(&first, unknown()).await;
    let (one, other) = tokio::join!(first.rotate_salt(), second.rotate_salt());
    one.and(other).unwrap();
    // Both found the first, so both made a second.
    assert_eq!(sees(&first, unknown()).await.1.unwrap().0.get(), 2);
    let store = |ring| ChunkStore::new(cluster.objects.clone(), ring, Options::default()).unwrap();
    let (first, second) = (store(first), store(second));
    let bytes = vec![7; 3 * PAGE_BYTES];
    for (writer, reader) in [(&first, &second), (&second, &first)] {
        let written = writer.write(&unknown(), bytes.clone()).await.unwrap();
        let file = reader.open(&unknown(), &written.id).await.unwrap();
        assert_eq!(file.read_at(0, bytes.len()).await.unwrap(), bytes);
    }
}
