//! Giving back what no snapshot needs.

use crate::name::{FUNCTIONS, LAYERS, Name};
use crate::store::{OpenError, SnapshotStore};
use futures_util::TryStreamExt;
use hearth_chunk_store::{Collected, ManifestId, Owner, Users};
use object_store::ObjectStore;
use object_store::path::Path;
use std::collections::BTreeSet;
use std::time::Duration;

/// A collection stopped. What it did not delete is left to the next one.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The names cannot be listed.
    #[error("the snapshots cannot be listed")]
    List(#[source] object_store::Error),
    /// What a snapshot needs cannot be told, so nothing was deleted.
    #[error("what the snapshot {0} needs cannot be told; nothing was deleted")]
    Snapshot(Name, #[source] OpenError),
    /// The chunk store's part failed.
    #[error("chunks could not be collected")]
    Chunks(#[from] hearth_chunk_store::CollectError),
}

impl SnapshotStore {
    /// The names of all snapshots.
    pub async fn names(&self) -> Result<Vec<Name>, object_store::Error> {
        let mut names = vec![];
        for kind in [LAYERS, FUNCTIONS] {
            let mut found = self.objects.list(Some(&Path::from(kind)));
            while let Some(object) = found.try_next().await? {
                names.extend(Name::at(&object.location));
            }
        }
        Ok(names)
    }

    /// What has to stay for the snapshots that have names.
    pub async fn roots(&self) -> Result<BTreeSet<(Owner, ManifestId)>, CollectError> {
        let mut roots = BTreeSet::new();
        for name in self.names().await.map_err(CollectError::List)? {
            let files = self.files_of(&name).await;
            roots.extend(files.map_err(|error| CollectError::Snapshot(name, error))?);
        }
        Ok(roots)
    }

    /// What has to stay for one of them; nothing if there is none any more.
    pub async fn files_of(&self, name: &Name) -> Result<Vec<(Owner, ManifestId)>, OpenError> {
        let Some((id, at_hand)) = self.named(name).await? else { return Ok(vec![]) };
        let (_, record) = self.record(name, &id, &at_hand).await?;
        let owner = name.owner();
        Ok(record.files().chain([id]).map(|id| (owner.clone(), id)).collect())
    }

    /// Deletes the files that no snapshot needs, `more` excepted.
    pub async fn collect(
        &self,
        more: BTreeSet<(Owner, ManifestId)>,
    ) -> Result<Collected, CollectError> {
        self.collect_older(more, self.chunks.grace()).await
    }

    /// The same with another grace. Who found out `more` holds a
    /// [`Hold`](hearth_chunk_store::Hold) from before; then any will do.
    pub async fn collect_older(
        &self,
        more: BTreeSet<(Owner, ManifestId)>,
        grace: Duration,
    ) -> Result<Collected, CollectError> {
        // A snapshot may get its name once the names are listed.
        let _hold = self.chunks.hold();
        let _alone = self.collecting.lock().await;
        let roots = self.roots_and(more).await?;
        Ok(self.chunks.collect_older(roots, grace).await?)
    }

    /// The same where other processes use the origin; see
    /// [`ChunkStore::collect_among`](hearth_chunk_store::ChunkStore::collect_among).
    pub async fn collect_among(
        &self,
        more: BTreeSet<(Owner, ManifestId)>,
        users: Users,
    ) -> Result<Collected, CollectError> {
        let _hold = self.chunks.hold();
        let _alone = self.collecting.lock().await;
        let roots = self.roots_and(more).await?;
        Ok(self.chunks.collect_among(roots, users).await?)
    }

    async fn roots_and(
        &self,
        more: BTreeSet<(Owner, ManifestId)>,
    ) -> Result<BTreeSet<(Owner, ManifestId)>, CollectError> {
        let mut roots = self.roots().await?;
        roots.extend(more);
        Ok(roots)
    }
}
