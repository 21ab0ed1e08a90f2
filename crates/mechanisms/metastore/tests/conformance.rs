//! The redb engine passes the suite of the contract.

use async_trait::async_trait;
use hearth_metastore::RedbStore;
use hearth_metastore::conformance::Fixture;
use hearth_services::metastore::{MetaStore, Txn};

struct Redb {
    store: RedbStore,
    _dir: tempfile::TempDir,
}

/// Twice the bytes that its history holds, and how they are written.
const FORGET_COMMITS: usize = 66;
const FORGET_BYTES: usize = 500 * 1024;

#[async_trait]
impl Fixture for Redb {
    fn store(&self) -> &dyn MetaStore {
        &self.store
    }
    async fn forget_history(&self) {
        let large = bytes::Bytes::from(vec![0; FORGET_BYTES]);
        for _ in 0..FORGET_COMMITS {
            self.store.transact(Txn::new().put("large", large.clone())).await.unwrap();
        }
    }
}

fn empty() -> Redb {
    let dir = tempfile::tempdir().unwrap();
    Redb { store: RedbStore::open(&dir.path().join("meta.redb")).unwrap(), _dir: dir }
}

hearth_metastore::conformance!(empty);
