//! What is to stay: whatever a manifest needs that somebody needs.

use crate::collect::CollectError;
use crate::fetch::ReadError;
use crate::file::OpenError;
use crate::keyring::KeyringError;
use crate::object::{MANIFESTS, UnownedManifest, WantedManifest};
use crate::origin::age;
use crate::store::ChunkStore;
use crate::sweep::name_of;
use futures_util::StreamExt;
use hearth_chunk_format::{Manifest, ManifestId, Owner};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// What is to stay.
#[derive(Default)]
pub(crate) struct Live {
    pub(crate) manifests: HashSet<ManifestId>,
    pub(crate) chunks: HashSet<[u8; 32]>,
}

/// What is to stay, by why.
pub(crate) struct Stays {
    /// Roots and open files need it.
    pub(crate) live: Live,
    /// Nothing does any more, for all that is known here.
    pub(crate) waiting: Live,
}

impl Live {
    pub(crate) fn has(&self, hash: &[u8; 32]) -> bool {
        self.chunks.contains(hash) || self.manifests.contains(&ManifestId::from_bytes(*hash))
    }

    pub(crate) fn add(&mut self, manifest: &Manifest) {
        self.chunks.extend(manifest.chunks().iter().map(|named| *named.chunk.name.as_bytes()));
    }
}

impl ChunkStore {
    /// Marks what a manifest needs.
    pub(crate) async fn mark(
        &self,
        live: &mut Live,
        owner: &Owner,
        id: &ManifestId,
    ) -> Result<(), OpenError> {
        if live.manifests.contains(id) {
            return Ok(());
        }
        let key = self.shared.keyring.manifest_key(owner).await;
        let key = key.map_err(|error| OpenError::Key(*id, Arc::new(error)))?;
        let wanted = WantedManifest { id: *id, owner: owner.clone(), key };
        let manifest = self.shared.levels.fetch(&wanted).await;
        live.add(&manifest.map_err(|error| OpenError::Manifest(*id, error))?);
        live.manifests.insert(*id);
        Ok(())
    }

    /// The same for a manifest that nobody promised: one that cannot be opened
    /// needs nothing.
    pub(crate) async fn mark_if_there(
        &self,
        live: &mut Live,
        owner: &Owner,
        id: &ManifestId,
    ) -> Result<(), CollectError> {
        match self.mark(live, owner, id).await {
            Ok(()) | Err(OpenError::Manifest(_, ReadError::Missing(_))) => Ok(()),
            Err(OpenError::Manifest(_, error @ ReadError::Unreachable(..))) => {
                Err(CollectError::Origin(error))
            }
            // A key service, or whoever keeps the keys, may answer another time.
            Err(OpenError::Key(_, ref error))
                if matches!(**error, KeyringError::Master(..) | KeyringError::Store(..)) =>
            {
                Err(CollectError::Root(*id, owner.clone(), OpenError::Key(*id, error.clone())))
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(%id, %owner, error, "a manifest that is no root cannot be read");
                Ok(())
            }
        }
    }

    /// The same for a manifest whose owner is not known: it says so itself.
    pub(crate) async fn mark_unowned(
        &self,
        live: &mut Live,
        id: ManifestId,
    ) -> Result<(), CollectError> {
        let wanted = UnownedManifest(id);
        match self.shared.levels.fetch(&wanted).await {
            Ok(owner) => self.mark_if_there(live, &owner, &id).await,
            Err(error @ ReadError::Unreachable(..)) => Err(CollectError::Origin(error)),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(%id, error, "a manifest that is no root cannot be read");
                Ok(())
            }
        }
    }

    /// Marks what a file needs that somebody elsewhere has open. If it is gone, so is
    /// whoever had it; if it cannot be read, what it needs is not known.
    pub(crate) async fn mark_in_use(
        &self,
        live: &mut Live,
        id: ManifestId,
    ) -> Result<(), CollectError> {
        if live.manifests.contains(&id) {
            return Ok(());
        }
        match self.shared.levels.fetch(&UnownedManifest(id)).await {
            Err(ReadError::Missing(_)) => Ok(()),
            Err(error) => Err(CollectError::InUse(id, error)),
            Ok(owner) => match self.mark(live, &owner, &id).await {
                Ok(()) | Err(OpenError::Manifest(_, ReadError::Missing(_))) => Ok(()),
                Err(OpenError::Manifest(_, error)) => Err(CollectError::InUse(id, error)),
                Err(error) => Err(CollectError::Root(id, owner, error)),
            },
        }
    }

    /// Marks what young manifests need; returns those that are old and unmarked.
    pub(crate) async fn mark_young(
        &self,
        stays: &mut Stays,
        grace: Duration,
    ) -> Result<Vec<ManifestId>, CollectError> {
        let (mut young, mut dead) = (Vec::new(), Vec::new());
        let mut listed = self.shared.levels.origin.list(MANIFESTS);
        while let Some(meta) = listed.next().await {
            let meta = meta.map_err(CollectError::Origin)?;
            match name_of(&meta) {
                Some(id) if stays.live.manifests.contains(&id) => {}
                Some(id) if stays.waiting.manifests.contains(&id) => {}
                Some(id) if age(&meta) < grace => young.push(id),
                Some(id) => dead.push(id),
                // Not ours to delete.
                None => tracing::warn!(path = %meta.location, "no manifest has such a name"),
            }
        }
        for id in young {
            self.mark_unowned(&mut stays.waiting, id).await?;
        }
        Ok(dead)
    }
}
