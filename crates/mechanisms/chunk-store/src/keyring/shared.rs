//! The keyring of a cluster: keys in its object store, under a master key that each node
//! has as a file.
//!
//! ```text
//!  node-1: master.key ─┐               ┌─ keys/check.key   made by the first node that
//!  node-2: master.key ─┼─ seals, opens ┤                   opened it: whose master key
//!  node-3: master.key ─┘               │                   does not open it, stays out
//!                                      └─ keys/salt.key, keys/account-….key, …
//! ```

use super::place::Place;
use super::{Keyring, KeyringError};
use crate::master_key::{LocalMasterKey, MasterKeyError};
use crate::options::Options;
use crate::origin::Origin;
use object_store::ObjectStore;
use std::path::Path;
use std::sync::Arc;

/// A key that nothing is sealed with: it tells the cluster's master key from others.
const CHECK: &str = "check.key";

impl Keyring {
    /// The keyring of a cluster, in its object store, for a node whose master key is in
    /// this file. The first node sets it up; another master key than that one's is refused.
    pub async fn shared(
        master_key: &Path,
        objects: Arc<dyn ObjectStore>,
    ) -> Result<Self, KeyringError> {
        let ring = Self::in_objects(master_key, objects).await?;
        if !ring.is_known(CHECK, master_key).await? {
            // Somebody may have deleted the check, but not what else was sealed.
            if let Some(other) = ring.place.any().await? {
                ring.is_known(&other, master_key).await?;
            }
            // Another node may be faster, with another master key.
            let made = ring.make(CHECK, 0).await;
            made.map_err(|error| told(error, master_key))?;
        }
        ring.first_writer_wins().await?;
        Ok(ring)
    }

    /// The same for a process that only reads, beside a node that writes.
    pub async fn shared_to_read(
        master_key: &Path,
        objects: Arc<dyn ObjectStore>,
    ) -> Result<Self, KeyringError> {
        let ring = Self::in_objects(master_key, objects).await?;
        match ring.is_known(CHECK, master_key).await? {
            true => Ok(ring),
            false => Err(KeyringError::NotSetUp),
        }
    }

    async fn in_objects(
        master_key: &Path,
        objects: Arc<dyn ObjectStore>,
    ) -> Result<Self, KeyringError> {
        let master = LocalMasterKey::open(master_key).await.map_err(|error| match error {
            MasterKeyError::Missing(path) => KeyringError::NoMaster(path),
            error => KeyringError::Master("the cluster's keys".into(), error),
        })?;
        let origin = Origin::new(objects, Options::default().origin_wait);
        Ok(Self::at(Place::Objects(origin), Arc::new(master)))
    }

    /// Whether there is such a key, which this master key has to open.
    async fn is_known(&self, name: &str, master_key: &Path) -> Result<bool, KeyringError> {
        let read = self.read(name).await.map_err(|error| told(error, master_key))?;
        Ok(read.is_some())
    }

    /// Asks the object store to keep the check a second time, which it must refuse. One
    /// that does not know the condition would take the key of whoever comes second in the
    /// place of the first one's, and what that one sealed would be lost.
    async fn first_writer_wins(&self) -> Result<(), KeyringError> {
        let there = self.place.read(CHECK).await?;
        let there = there.ok_or_else(|| KeyringError::Missing(CHECK.into()))?;
        // The same bytes: harmless where they are taken.
        match self.place.create(CHECK, there.to_vec()).await? {
            true => Err(KeyringError::Unconditional),
            false => Ok(()),
        }
    }
}

/// Says of a master key that does not fit what to do about it.
fn told(error: KeyringError, master_key: &Path) -> KeyringError {
    match error {
        KeyringError::Master(_, MasterKeyError::Wrong) => {
            KeyringError::OtherMaster(master_key.to_owned())
        }
        error => error,
    }
}

#[cfg(test)]
mod tests;
