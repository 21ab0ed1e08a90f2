//! What nodes that share keys ask of objects: two that begin at once agree.

use hearth_chunk_store::{
    ChunkStore, Keyring, KeyringError, LocalMasterKey, MASTER_KEY_FILE, Options, Owner,
};
use object_store::ObjectStore;
use std::sync::Arc;

pub(crate) async fn nodes_share_their_keys(objects: &Arc<dyn ObjectStore>) {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let [ours, other] = [&dir, &elsewhere].map(|dir| dir.path().join(MASTER_KEY_FILE));
    for path in [&ours, &other] {
        LocalMasterKey::create(path).await.unwrap();
    }
    let open = || Keyring::shared(&ours, objects.clone());
    let (first, second) = tokio::join!(open(), open());
    let store = |ring: Result<Keyring, KeyringError>| {
        ChunkStore::new(objects.clone(), ring.unwrap(), Options::default()).unwrap()
    };
    let (first, second) = (store(first), store(second));
    for owner in ["account/000000000001", "unknown/000000000002", "layer/x"] {
        let owner: Owner = owner.parse().unwrap();
        let bytes = vec![7; 10_000];
        // Both make the key.
        let (one, another) =
            tokio::join!(first.write(&owner, bytes.clone()), second.write(&owner, bytes.clone()));
        let (one, another) = (one.unwrap(), another.unwrap());
        assert_eq!(one.id, another.id, "{owner}");
        let file = second.open(&owner, &one.id).await.unwrap();
        assert_eq!(file.read_at(0, bytes.len()).await.unwrap(), bytes);
    }
    let refused = Keyring::shared(&other, objects.clone()).await.err();
    assert!(matches!(refused, Some(KeyringError::OtherMaster(_))), "{refused:?}");
}
