//! Whether a snapshot is damaged, for those who failed to restore it.

use crate::pack::Packed;
use crate::store::{OpenError, SnapshotStore, Stored};
use hearth_chunk_store::{Object, OpenError as FileError, ReadError, Suspects};

impl OpenError {
    /// What was stored is not there, or is something else: to try again is in vain.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Name(_) | Self::File(FileError::Key(..)) => false,
            Self::Damaged(_) | Self::Record(_) | Self::TooLarge(_) => true,
            Self::File(FileError::Manifest(_, error)) | Self::Read(error) => match error {
                ReadError::Missing(_) | ReadError::Corrupt(_) | ReadError::Refused(_) => true,
                ReadError::Unreachable(..) | ReadError::TooLong(_) => false,
            },
        }
    }
}

impl SnapshotStore {
    /// What was found bad at the origin, for [`SnapshotStore::damage`].
    pub async fn suspects(&self) -> Result<Suspects, ReadError> {
        self.chunks.suspects().await
    }

    /// What of an open snapshot was found bad at the origin, by whoever read it, and
    /// still is. Nothing is read that nobody has suspected. A pack is mended at once: all
    /// that is in it is in memory, too.
    pub async fn damage(
        &self,
        suspects: &Suspects,
        stored: &Stored,
    ) -> Result<Vec<Object>, ReadError> {
        let [record, state] = stored.held();
        let files = [Some(record), Some(state), Some(&stored.memory), stored.scratch.as_ref()];
        let files: Vec<_> = files.into_iter().flatten().collect();
        let damaged = self.chunks.damage(suspects, &files).await?;
        let Some(pack) = stored.pack.as_ref().filter(|_| damaged.is_empty()) else {
            return Ok(damaged);
        };
        let damaged = self.chunks.damage(suspects, &[pack.file()]).await?;
        if damaged.is_empty() || self.mend(stored, pack).await {
            return Ok(vec![]);
        }
        Ok(damaged)
    }

    /// Stores a pack again, which leads to the same chunks; whether that went well.
    async fn mend(&self, stored: &Stored, pack: &Packed) -> bool {
        let pages: Vec<u32> = pack.pages().iter().map(|page| page.0).collect();
        let owner = stored.name.owner();
        match self.chunks.storing_all().write_pack(&owner, &stored.memory, &pages).await {
            Ok(written) => written.id == pack.file().id(),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(name = %stored.name, error, "a damaged pack could not be mended");
                false
            }
        }
    }
}
