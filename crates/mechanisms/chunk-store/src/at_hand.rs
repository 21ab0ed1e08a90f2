//! Copies of sealed objects that come along with something else, so that to open the
//! files they are of takes no trip to the origin.
//!
//! ```text
//!   0     4           n
//!   ├─────┼───────────┼─────┼──────── …
//!   │ len │ an object │ len │ another      as it is at the origin; len: u32, little end
//!   └─────┴───────────┴─────┴──────── …
//! ```
//!
//! They need no trust and no names: each is found by the hash of its bytes, and opened
//! as if it came from the origin. What is damaged is fetched from there instead.

use crate::blocking::blocking;
use crate::fetch::ReadError;
use crate::file::{OpenError, StoredFile};
use crate::object::{Object, Sealed, WantedManifest};
use crate::store::ChunkStore;
use bytes::{Buf, Bytes, BytesMut};
use hearth_chunk_format::{ManifestId, Owner, PAGE_BYTES};
use std::collections::HashMap;
use std::sync::Arc;

const LEN_BYTES: usize = size_of::<u32>();

/// Sealed objects, by hash.
#[derive(Clone, Debug, Default)]
pub struct AtHand(HashMap<[u8; 32], Bytes>);

impl AtHand {
    /// Takes what [`AtHand::encode`] wrote; what is cut off or damaged is as good as not
    /// there.
    pub fn decode(mut bytes: Bytes) -> Self {
        let mut all = HashMap::new();
        while bytes.len() > LEN_BYTES {
            let len = bytes.get_u32_le() as usize;
            if len == 0 || len > bytes.len() {
                break;
            }
            let object = bytes.split_to(len);
            all.insert(*blake3::hash(&object).as_bytes(), object);
        }
        Self(all)
    }

    /// Adds an object, unless there were more than `max` bytes then.
    fn add(&mut self, hash: &[u8; 32], sealed: Bytes, max: usize) {
        let now: usize = self.0.values().map(|object| LEN_BYTES + object.len()).sum();
        if now + LEN_BYTES + sealed.len() <= max {
            self.0.insert(*hash, sealed);
        }
    }

    /// All of them, one after the other.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        for object in self.0.values() {
            bytes.extend_from_slice(&(object.len() as u32).to_le_bytes());
            bytes.extend_from_slice(object);
        }
        bytes.freeze()
    }

    /// One of them, checked and opened.
    async fn get<S: Sealed>(&self, wanted: &S) -> Option<S::Opened> {
        let sealed = self.0.get(wanted.object().hash())?.clone();
        let wanted = wanted.clone();
        blocking(move || wanted.open(&sealed).ok()).await
    }
}

impl ChunkStore {
    /// Opens a file that `owner` wrote; its manifest may be at hand.
    pub async fn open_with(
        &self,
        owner: &Owner,
        id: &ManifestId,
        at_hand: &AtHand,
    ) -> Result<StoredFile, OpenError> {
        let failed = |error| OpenError::Manifest(*id, error);
        let missing = || failed(ReadError::Missing(Object::Manifest(*id)));
        let lease = self.shared.guards.lease(*id).ok_or_else(missing)?;
        let key = self.shared.keyring.manifest_key(owner).await;
        let key = key.map_err(|error| OpenError::Key(*id, Arc::new(error)))?;
        let wanted = WantedManifest { id: *id, owner: owner.clone(), key };
        let manifest = match at_hand.get(&wanted).await {
            Some(manifest) => manifest,
            None => self.shared.levels.need(&wanted).await.map_err(failed)?,
        };
        Ok(self.opened(owner, *id, Arc::new(manifest), lease))
    }

    /// Copies of the manifests of these files, and of all that is in those of `whole`,
    /// as long as they take at most `max` bytes.
    pub async fn copies(
        &self,
        files: &[&StoredFile],
        whole: &[&StoredFile],
        max: usize,
    ) -> Result<AtHand, ReadError> {
        let mut copies = AtHand::default();
        for file in whole.iter().chain(files) {
            // Without the key nobody could open it, either.
            let Ok(key) = self.shared.keyring.manifest_key(file.owner()).await else { continue };
            let wanted = WantedManifest { id: file.id(), owner: file.owner().clone(), key };
            if let Some(sealed) = wanted.reseal(file.manifest().clone()) {
                copies.add(file.id().as_bytes(), sealed, max);
            }
        }
        for named in whole.iter().flat_map(|file| file.manifest().chunks()) {
            let (sealed, _) = self.shared.levels.origin.fetch(&named.chunk).await?;
            copies.add(named.chunk.name.as_bytes(), sealed, max);
        }
        Ok(copies)
    }
}

impl StoredFile {
    /// All of it, which has to fit into memory; its chunks may be at hand.
    pub async fn read_whole(&self, at_hand: &AtHand) -> Result<Bytes, ReadError> {
        let mut whole = BytesMut::zeroed(self.size().next_multiple_of(PAGE_BYTES as u64) as usize);
        let chunks = self.manifest().chunks();
        for (number, named) in chunks.iter().enumerate() {
            let data = match at_hand.get(&named.chunk).await {
                Some(data) => Bytes::from(data),
                None => self.chunk(&named.chunk).await?,
            };
            for extent in self.extents().iter().filter(|extent| extent.chunk as usize == number) {
                let (from, at) = (extent.page as usize, usize::from(extent.at));
                let bytes = usize::from(extent.pages) * PAGE_BYTES;
                whole[from * PAGE_BYTES..][..bytes]
                    .copy_from_slice(&data[at * PAGE_BYTES..][..bytes]);
            }
        }
        whole.truncate(self.size() as usize);
        Ok(whole.freeze())
    }
}
