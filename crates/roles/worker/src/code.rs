//! A function's code: an image in the chunk store, that is read where it lies.

use crate::WorkerService;
use hearth_chunk_store::{InvalidHash, ManifestId, OpenError, Owner, StoredFile};
use hearth_snapshot_store::Reference;
use hearth_types::FunctionVersion;
use std::path::Path;

/// Why an image cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodeError {
    #[error("the version names {0:?} as its image, which nothing is called")]
    Name(String, #[source] InvalidHash),
    #[error("the image of the function's code cannot be opened")]
    Open(#[source] OpenError),
}

/// A version's image. As long as it is held no collection takes a chunk of it.
#[derive(Clone)]
pub(crate) struct Code {
    owner: Owner,
    pub(crate) file: StoredFile,
}

impl Code {
    /// What a disk is bound to that holds it.
    pub(crate) fn reference(&self) -> Reference {
        Reference::Stored(self.owner.clone(), self.file.id())
    }
}

impl WorkerService {
    pub(crate) async fn code_of(&self, version: &FunctionVersion) -> Result<Code, CodeError> {
        let name = &version.code.image_file;
        let id: ManifestId = name.parse().map_err(|error| CodeError::Name(name.clone(), error))?;
        let owner = Owner::Unknown(version.key.account.clone());
        let file = self.snapshots.chunks().open(&owner, &id).await.map_err(CodeError::Open)?;
        Ok(Code { owner, file })
    }
}

/// What a disk is bound to that holds an image of this machine.
pub(crate) fn local(image: &Path) -> Reference {
    Reference::Local(image.to_owned())
}
