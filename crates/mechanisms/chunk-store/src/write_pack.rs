//! Writing a pack: some pages of a file, in the order in which a restore wants
//! them, next to each other in chunks of their own.

use crate::file::StoredFile;
use crate::own_chunks::OwnChunks;
use crate::store::ChunkStore;
use crate::write::{WriteError, Written};
use hearth_chunk_format::{BuildError, Kind, ManifestBuilder, Owner, PAGE_BYTES};
use std::collections::HashSet;

impl ChunkStore {
    /// Stores `pages` of `file` for `owner`, in this order. A page that is zero
    /// is left out, and one that comes twice counts once.
    pub async fn write_pack(
        &self,
        owner: &Owner,
        file: &StoredFile,
        pages: &[u32],
    ) -> Result<Written, WriteError> {
        self.until_it_stays(|| self.write_pack_once(owner, file, pages)).await
    }

    async fn write_pack_once(
        &self,
        owner: &Owner,
        file: &StoredFile,
        pages: &[u32],
    ) -> Result<Written, WriteError> {
        let draft = self.draft(owner).await?;
        let mut builder = ManifestBuilder::new(Kind::Pack, file.size(), draft.keys.salt)
            .map_err(WriteError::Build)?;
        let mut own = OwnChunks::new(self, &draft);
        let mut packed = HashSet::new();
        for page in pages.iter().copied().filter(|page| packed.insert(*page)) {
            let offset = u64::from(page) * PAGE_BYTES as u64;
            if offset >= file.size() {
                return Err(WriteError::Build(BuildError::Page(page)));
            }
            if file.manifest().extent_of(page).is_none() {
                continue;
            }
            let data = file.read_at(offset, PAGE_BYTES).await.map_err(WriteError::Parent)?;
            let mut whole = [0; PAGE_BYTES];
            whole[..data.len()].copy_from_slice(&data);
            own.add(page, &whole).await?;
        }
        let stored = own.finish(&mut builder).await?;
        let manifest = builder.finish().map_err(WriteError::Build)?;
        self.finish(draft, manifest, stored).await
    }
}
