//! The redb engine passes the suite of the contract.

use hearth_metastore::RedbStore;
use hearth_metastore::conformance::Fixture;
use hearth_services::metastore::MetaStore;

struct Redb {
    store: RedbStore,
    _dir: tempfile::TempDir,
}

impl Fixture for Redb {
    fn store(&self) -> &dyn MetaStore {
        &self.store
    }
}

fn empty() -> Redb {
    let dir = tempfile::tempdir().unwrap();
    Redb { store: RedbStore::open(&dir.path().join("meta.redb")).unwrap(), _dir: dir }
}

hearth_metastore::conformance!(empty);
