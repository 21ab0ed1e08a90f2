//! A file whose chunks were found bad, mended by whoever brings the same bytes again. Its
//! manifest holds the chunks' keys, so they come out as they were, whatever the salt is now.

use crate::blocking::blocking;
use crate::file::StoredFile;
use crate::object::Sealed;
use crate::source::Source;
use crate::store::ChunkStore;
use crate::suspects::Suspects;
use crate::write::WriteError;
use hearth_chunk_format::{Extent, Manifest, PAGE_BYTES};
use std::io;

impl ChunkStore {
    /// Puts those suspects among a file's chunks back that are bad at the origin, from
    /// `source`, which has what the file has; how many. Of other bytes, nothing is taken.
    pub async fn mend(
        &self,
        suspects: &Suspects,
        file: &StoredFile,
        source: impl Into<Source>,
    ) -> Result<usize, WriteError> {
        let source = source.into();
        let mut mended = 0;
        for (index, named) in file.manifest().chunks().iter().enumerate() {
            let chunk = &named.chunk;
            if !suspects.has(&chunk.object()) {
                continue;
            }
            let (source, manifest) = (source.clone(), file.manifest().clone());
            let len = chunk.len();
            let read = blocking(move || plaintext(&source, &manifest, index as u32, len)).await;
            let checked = self.check(chunk, read.map_err(WriteError::Source)?).await;
            match (checked.damage, checked.error) {
                (_, Some(error)) => return Err(WriteError::Origin(error)),
                (Some(damage), None) if !damage.is_healed => continue,
                (damage, None) => mended += usize::from(damage.is_some()),
            }
            let cleared = self.shared.levels.clear(chunk.object().hash()).await;
            cleared.map_err(WriteError::Origin)?;
        }
        Ok(mended)
    }
}

/// A chunk's bytes as a file has them; nothing if it is smaller than that.
fn plaintext(
    source: &Source,
    manifest: &Manifest,
    chunk: u32,
    len: usize,
) -> io::Result<Option<Vec<u8>>> {
    let size = source.size()?;
    if size != manifest.size() {
        return Ok(None);
    }
    let mut bytes = vec![0; len];
    for Extent { page, at, pages, .. } in
        manifest.extents().iter().filter(|extent| extent.chunk == chunk)
    {
        let read = source.read_pages(*page, u32::from(*pages), size)?;
        let start = usize::from(*at) * PAGE_BYTES;
        let Some(place) = bytes.get_mut(start..start + read.len()) else { return Ok(None) };
        place.copy_from_slice(&read);
    }
    Ok(Some(bytes))
}
