//! What a read found bad at the origin, noted there: for whoever writes the same bytes
//! again, in whatever process, and for whoever asks what is wrong with a file.
//!
//! ```text
//!  read: corrupt, or missing ─► suspects/HASH ─┬─► written again ──────────────┐
//!                                              ├─► healed from another level ──┼─► gone
//!                                              └─► whole after all, or garbage ┘
//! ```
//!
//! A write takes a chunk for stored when the origin has one of its name and length, as
//! reading every such chunk would cost as much as storing it. A note costs one listing
//! for each file that is written, and crosses processes: one reads pages, another
//! writes snapshots. A note too many costs a chunk that is stored twice.

use crate::bounds::{SUSPECTS_CHECKED_MAX, SUSPECTS_MAX};
use crate::fetch::{Levels, ReadError};
use crate::file::StoredFile;
use crate::object::{Object, Sealed, WantedManifest};
use crate::origin::{Origin, age};
use crate::store::ChunkStore;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use hearth_chunk_format::{ChunkRef, NamedChunk};
use object_store::path::Path as ObjectPath;
use std::collections::HashSet;
use std::time::Duration;

/// Prefix of the notes.
const SUSPECTS: &str = "suspects";

/// Objects whose copies at the origin were found bad, by hash.
#[derive(Default)]
pub struct Suspects(HashSet<[u8; 32]>);

impl Suspects {
    /// Those of now.
    pub(crate) async fn at(origin: &Origin) -> Result<Self, ReadError> {
        Self::older(origin, Duration::ZERO).await
    }

    /// Those that were noted as long ago as this.
    pub(crate) async fn older(origin: &Origin, min: Duration) -> Result<Self, ReadError> {
        let listed = origin.list(SUSPECTS).take(SUSPECTS_MAX);
        let hash = move |meta: object_store::ObjectMeta| {
            let mut hash = [0; 32];
            if age(&meta) < min {
                return None;
            }
            hex::decode_to_slice(meta.location.filename()?, &mut hash).ok().map(|()| hash)
        };
        let hashes = listed.try_filter_map(async |meta| Ok(hash(meta)));
        Ok(Self(hashes.try_collect().await?))
    }

    /// Whether a chunk of the file is among them.
    pub fn is_any_of(&self, file: &StoredFile) -> bool {
        let has = |named: &NamedChunk| self.has(&named.chunk.object());
        !self.is_empty() && file.manifest().chunks().iter().any(has)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has(&self, object: &Object) -> bool {
        self.0.contains(object.hash())
    }

    /// All but these.
    pub(crate) fn without(
        self,
        keep: impl Fn(&[u8; 32]) -> bool,
    ) -> impl Iterator<Item = [u8; 32]> {
        self.0.into_iter().filter(move |hash| !keep(hash))
    }
}

/// Where the note about an object is.
fn note(hash: &[u8; 32]) -> ObjectPath {
    ObjectPath::from_iter([SUSPECTS, &hex::encode(hash)])
}

impl Levels {
    /// Fetches what has to be there. That it is not, or is not what it should be, is
    /// noted.
    pub(crate) async fn need<S: Sealed>(&self, wanted: &S) -> Result<S::Opened, ReadError> {
        let fetched = self.fetch(wanted).await;
        if let Err(ReadError::Missing(_) | ReadError::Corrupt(_)) = &fetched {
            self.suspect(&wanted.object()).await;
        }
        fetched
    }

    /// Notes that the origin's copy is bad.
    pub(crate) async fn suspect(&self, object: &Object) {
        if let Err(error) = self.origin.put(&note(object.hash()), &Bytes::new()).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(%object, error, "cannot note that the origin's copy is bad");
        }
    }

    /// Notes that it is not, or not any more.
    pub(crate) async fn clear(&self, hash: &[u8; 32]) -> Result<(), ReadError> {
        self.origin.delete(&note(hash)).await
    }
}

impl ChunkStore {
    /// What was found bad at the origin, for [`ChunkStore::damage`]: one listing.
    pub async fn suspects(&self) -> Result<Suspects, ReadError> {
        Suspects::at(&self.shared.levels.origin).await
    }

    /// Which of the objects that these files are made of are suspects, and are bad
    /// indeed: a few of them are looked at, and healed if this process has them whole.
    pub async fn damage(
        &self,
        suspects: &Suspects,
        files: &[&StoredFile],
    ) -> Result<Vec<Object>, ReadError> {
        let mut damaged = Vec::new();
        if suspects.is_empty() {
            return Ok(damaged);
        }
        let mut looked_at = HashSet::new();
        for file in files {
            let object = Object::Manifest(file.id());
            if suspects.has(&object) && looked_at.insert(object) {
                let wanted = self.wanted(file).await;
                if let Some(wanted) = wanted
                    && !self.is_well(&wanted, Some(file.manifest().clone())).await?
                {
                    damaged.push(object);
                }
            }
            for named in file.manifest().chunks() {
                let chunk: &ChunkRef = &named.chunk;
                if looked_at.len() >= SUSPECTS_CHECKED_MAX {
                    break;
                }
                if suspects.has(&chunk.object())
                    && looked_at.insert(chunk.object())
                    && !self.is_well(chunk, self.shared.levels.in_memory(chunk).await).await?
                {
                    damaged.push(chunk.object());
                }
            }
        }
        Ok(damaged)
    }

    /// The manifest of an open file, as its owner would fetch it.
    async fn wanted(&self, file: &StoredFile) -> Option<WantedManifest> {
        // Without the key nothing can be told of it; whoever opens it is told why.
        let key = self.shared.keyring.manifest_key(file.owner()).await.ok()?;
        Some(WantedManifest { id: file.id(), owner: file.owner().clone(), key })
    }

    /// Whether a suspect is whole at the origin, perhaps only now.
    async fn is_well<S: Sealed>(
        &self,
        wanted: &S,
        at_hand: Option<S::Opened>,
    ) -> Result<bool, ReadError> {
        let checked = self.check(wanted, at_hand).await;
        match (checked.damage, checked.error) {
            (_, Some(error @ ReadError::Unreachable(..))) => return Err(error),
            (None, None) => {}
            (Some(damage), None) if damage.is_healed => {}
            _ => return Ok(false),
        }
        self.shared.levels.clear(wanted.object().hash()).await?;
        Ok(true)
    }
}
