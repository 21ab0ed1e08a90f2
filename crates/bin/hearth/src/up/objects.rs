//! Where this server's objects are, for its roles and for the process that serves pages.

use super::UpArgs;
use super::data_dir::DataDir;
use anyhow::Context;
use hearth_objects::{Endpoint, Location};
use hearth_services::keys;
use hearth_services::metastore::{MetaStore, Txn, TxnOutcome};
use hearth_types::RevisionId;
use object_store::ObjectStore;
use std::sync::Arc;

/// Where objects are.
#[derive(Clone, Debug)]
pub(crate) struct ObjectsPlace {
    /// A folder or a bucket.
    pub(crate) location: Location,
    /// The server of a bucket, if it was named.
    pub(crate) endpoint: Option<Endpoint>,
    is_elsewhere: bool,
}

impl ObjectsPlace {
    /// As the arguments say; else in the data directory.
    pub(super) fn of(args: &UpArgs, data: &DataDir) -> Self {
        let is_elsewhere = args.objects.is_some();
        let location = args.objects.clone().unwrap_or_else(|| Location::Folder(data.objects()));
        Self { location, endpoint: args.objects_endpoint.clone(), is_elsewhere }
    }

    /// One that processes of several hosts share.
    pub(crate) fn shared(location: Location, endpoint: Option<Endpoint>) -> Self {
        Self { location, endpoint, is_elsewhere: true }
    }

    /// Where somebody else found them to be.
    pub(crate) fn to_read(location: Location, endpoint: Option<Endpoint>) -> Self {
        Self { location, endpoint, is_elsewhere: true }
    }

    /// Opens them, to write as well. A place outside of the data directory has to be of
    /// this metadata alone, which names the objects there.
    pub(crate) async fn open(
        &self,
        metastore: &dyn MetaStore,
    ) -> anyhow::Result<Arc<dyn ObjectStore>> {
        let place = || format!("cannot keep objects in {}", self.location);
        let opened = hearth_objects::open(&self.location, self.endpoint.as_ref(), &variable).await;
        let objects = opened.with_context(place)?;
        if self.is_elsewhere {
            let owner = name_of(metastore).await.context("cannot name the metadata store")?;
            hearth_objects::claim(&objects, &owner).await.with_context(place)?;
        }
        Ok(objects)
    }

    /// Opens them, to read only.
    pub(crate) fn open_reader(&self) -> anyhow::Result<Arc<dyn ObjectStore>> {
        hearth_objects::open_reader(&self.location, self.endpoint.as_ref(), &variable)
            .with_context(|| format!("cannot read objects in {}", self.location))
    }
}

/// The store's name, made now if it has none.
async fn name_of(store: &dyn MetaStore) -> anyhow::Result<String> {
    // A UUID like any other.
    let fresh = RevisionId::new().to_string();
    let named = Txn::new().absent(keys::STORE).put(keys::STORE, keys::encode(&fresh));
    if matches!(store.transact(named).await?, TxnOutcome::Committed(_)) {
        return Ok(fresh);
    }
    let found = store.get(keys::STORE).await?.context("it had one just now")?;
    Ok(keys::decode(&found.value)?)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_metastore::RedbStore;

    #[tokio::test]
    async fn a_folder_elsewhere_is_one_servers() {
        let dir = tempfile::tempdir().unwrap();
        let store = |name: &str| RedbStore::open(&dir.path().join(name)).unwrap();
        let (first, second) = (store("first"), store("second"));
        let location = Location::Folder(dir.path().join("objects"));
        let place = ObjectsPlace { location, endpoint: None, is_elsewhere: true };
        for _ in 0..2 {
            place.open(&first).await.unwrap();
        }
        let refused = format!("{:#}", place.open(&second).await.unwrap_err());
        assert!(refused.contains("belong to another server"), "{refused}");
    }
}
