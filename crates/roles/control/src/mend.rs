//! A stored package that somebody brings again: what was found damaged of it is put back,
//! for all versions that have it.

use crate::code::{CodeStore, files_of};
use crate::error::internal;
use bytes::Bytes;
use hearth_chunk_store::{ManifestId, OpenError, Owner, ReadError, StoredFile};
use hearth_services::control::ControlError;
use hearth_types::CodeLocation;

/// What became of it.
pub(crate) enum Mended {
    /// It is whole, as far as anybody knows.
    Whole,
    /// Nobody knows any more what it consists of.
    Lost,
}

impl CodeStore {
    /// Mends the package of that record. Costs one listing if nothing is known to be bad.
    pub(crate) async fn mend(
        &self,
        key: &str,
        location: &CodeLocation,
        zip: &Bytes,
    ) -> Result<Mended, ControlError> {
        let suspects = self.chunks.suspects().await.map_err(internal)?;
        if suspects.is_empty() {
            return Ok(Mended::Whole);
        }
        let [zip_file, image_file] = files_of(key, location).map_err(internal)?;
        let (Some(zip_file), Some(image_file)) =
            (self.open_whole(zip_file).await?, self.open_whole(image_file).await?)
        else {
            tracing::warn!(key, "a code package's manifest is lost; the package is stored anew");
            return Ok(Mended::Lost);
        };
        let mut mended = 0;
        if suspects.is_any_of(&zip_file) {
            let put_back = self.chunks.mend(&suspects, &zip_file, zip.clone()).await;
            mended += put_back.map_err(internal)?;
        }
        if suspects.is_any_of(&image_file) {
            let image = self.image(zip).await?;
            let put_back = self.chunks.mend(&suspects, &image_file, image.file).await;
            mended += put_back.map_err(internal)?;
        }
        if mended > 0 {
            tracing::info!(key, mended, "a code package was brought again and is whole again");
        }
        Ok(Mended::Whole)
    }

    /// Nothing if the file's manifest is gone or damaged.
    async fn open_whole(
        &self,
        (owner, id): (Owner, ManifestId),
    ) -> Result<Option<StoredFile>, ControlError> {
        match self.chunks.open(&owner, &id).await {
            Ok(file) => Ok(Some(file)),
            Err(OpenError::Manifest(_, ReadError::Missing(_) | ReadError::Corrupt(_))) => Ok(None),
            Err(error) => Err(internal(error)),
        }
    }
}
