//! Saving, opening, improving and removing snapshots.

use crate::name::Name;
use crate::pack::{Packed, WorkingSetOf};
use crate::record::{About, Record, VERSION};
use bytes::Bytes;
use hearth_chunk_store::{
    AtHand, ChunkStore, InvalidHash, ManifestId, Source, StoredFile, WriteError, Written,
    put_unchanged,
};
use hearth_types::Timestamp;
use object_store::{Error, ObjectStore, ObjectStoreExt, UpdateVersion};
use std::fs::File;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Largest record, and largest state of devices, that is read whole.
const WHOLE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Copies that come with a name: the manifests of memory that is scattered, and the state
/// of a machine with many devices. What does not fit is fetched on its own.
const COPIES_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest name: an id, and copies.
const NAME_BYTES_MAX: u64 = COPIES_BYTES_MAX as u64 + 1024;

/// What a snapshot is saved from.
pub struct Captured<'a> {
    /// What the guest was.
    pub about: About,
    /// Its memory.
    pub memory: Arc<File>,
    /// The snapshot that it is a clone of.
    pub parent: Option<&'a Stored>,
    /// Registers and devices.
    pub state: Bytes,
    /// Its scratch disk, if anything is on it.
    pub scratch: Option<File>,
    /// It takes the place of one that may be damaged: all of it is stored, whatever the
    /// origin seems to have.
    pub anew: bool,
}

/// A snapshot was not saved; what was stored of it is left to a collection.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Its files could not be stored.
    #[error("a snapshot's files could not be stored")]
    Write(#[from] WriteError),
    /// Its record does not encode.
    #[error("a snapshot's record does not encode")]
    Encode(#[source] serde_json::Error),
    /// It could not be given its name.
    #[error("a snapshot could not be given its name")]
    Name(#[source] object_store::Error),
    /// Its name is gone, or another's by now.
    #[error("what was learnt is of a snapshot that was removed or made anew")]
    Replaced,
    /// What was stored cannot be opened again.
    #[error("a snapshot that was stored cannot be opened")]
    Open(#[from] OpenError),
}

/// A snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its name cannot be looked up.
    #[error("a snapshot's name cannot be looked up")]
    Name(#[source] object_store::Error),
    /// Its name is not what was written.
    #[error("a snapshot's name is damaged")]
    Damaged(#[source] Option<InvalidHash>),
    /// One of its files cannot be opened.
    #[error("one of a snapshot's files cannot be opened")]
    File(#[from] hearth_chunk_store::OpenError),
    /// One of its files cannot be read.
    #[error("one of a snapshot's files cannot be read")]
    Read(#[from] hearth_chunk_store::ReadError),
    /// Its record is not one that this version of Hearth writes.
    #[error("a snapshot's record cannot be understood")]
    Record(#[source] Option<serde_json::Error>),
    /// One of its files is too large to be what it should be.
    #[error("one of a snapshot's files has {0} bytes, which is too many")]
    TooLarge(u64),
}

/// An open snapshot: nothing of it is collected as long as it is held.
#[derive(Clone)]
pub struct Stored {
    /// What it is called.
    pub name: Name,
    /// What it is.
    pub record: Record,
    /// Its memory.
    pub memory: StoredFile,
    /// Registers and devices.
    pub state: Bytes,
    /// Its scratch disk.
    pub scratch: Option<StoredFile>,
    /// Its working set.
    pub pack: Option<Packed>,
    /// Its record, and the file that `state` was read from.
    _held: [StoredFile; 2],
}

impl Stored {
    /// Its record, and the file that its state was read from.
    pub(crate) fn held(&self) -> [&StoredFile; 2] {
        self._held.each_ref()
    }
}

/// The snapshots of one origin. Where that is a folder, one process at a time saves,
/// learns and collects there, and any number open; a bucket's processes may do all.
#[derive(Clone)]
pub struct SnapshotStore {
    pub(crate) chunks: ChunkStore,
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// Held while a name is read and written again.
    pub(crate) naming: Arc<Mutex<()>>,
    /// Held while it is found out what has to stay, and the rest is deleted: a
    /// record must not go in between.
    pub(crate) collecting: Arc<Mutex<()>>,
}

impl SnapshotStore {
    /// Snapshots whose names lie in `objects`.
    pub fn new(chunks: ChunkStore, objects: Arc<dyn ObjectStore>) -> Self {
        Self { chunks, objects, naming: Arc::default(), collecting: Arc::default() }
    }

    /// The chunk store below.
    pub fn chunks(&self) -> &ChunkStore {
        &self.chunks
    }

    /// Saves a snapshot under a name, durably.
    pub async fn save(&self, name: Name, captured: Captured<'_>) -> Result<Stored, SaveError> {
        let owner = name.owner();
        let Captured { about, memory, parent, state, scratch, anew } = captured;
        let chunks = if anew { self.chunks.storing_all() } else { self.chunks.clone() };
        let memory = Source::File(memory);
        let memory = match parent {
            Some(parent) => chunks.write_layer(&owner, memory, &parent.memory).await?,
            None => chunks.write(&owner, memory).await?,
        };
        let stored_state = chunks.write(&owner, state.clone()).await?;
        let scratch = match scratch {
            Some(scratch) => Some(chunks.write(&owner, scratch).await?),
            None => None,
        };
        tracing::info!(%name, bytes_new = memory.bytes_new, bytes_shared = memory.bytes_shared,
            "stored a guest's memory");
        let record = Record {
            version: VERSION,
            about,
            created: Timestamp::now(),
            memory: memory.id,
            parent: parent.map(|parent| (parent.name.owner(), parent.record.memory)),
            state: stored_state.id,
            scratch: scratch.as_ref().map(|scratch| scratch.id),
            pack: None,
            zeros: vec![],
            recordings: 0,
        };
        let mut files = vec![&memory.file];
        files.extend(scratch.as_ref().map(|scratch| &scratch.file));
        let kept = self.name(&name, None, &record, &files, &stored_state.file).await?;
        Ok(Stored {
            name,
            record,
            memory: memory.file,
            state,
            scratch: scratch.map(|scratch| scratch.file),
            pack: None,
            _held: [kept.file, stored_state.file],
        })
    }

    /// Opens a snapshot; none if nothing has that name. As a rule that is one trip to the
    /// origin: a name brings copies of what is needed next.
    pub async fn open(&self, name: &Name) -> Result<Option<Stored>, OpenError> {
        let Some((id, at_hand)) = self.named(name).await? else { return Ok(None) };
        let owner = name.owner();
        let (kept, record) = self.record(name, &id, &at_hand).await?;
        let open = |id: ManifestId| {
            let (owner, at_hand) = (&owner, &at_hand);
            async move { self.chunks.open_with(owner, &id, at_hand).await }
        };
        let open_some = |id: Option<ManifestId>| async move {
            match id {
                Some(id) => open(id).await.map(Some),
                None => Ok(None),
            }
        };
        let (state_file, memory, scratch, pack) = tokio::try_join!(
            open(record.state),
            open(record.memory),
            open_some(record.scratch),
            open_some(record.pack),
        )?;
        Ok(Some(Stored {
            name: name.clone(),
            memory,
            state: whole(&state_file, &at_hand).await?,
            scratch,
            pack: pack.map(Packed::new),
            record,
            _held: [kept, state_file],
        }))
    }

    /// Keeps what its clones were seen to touch, in place of what was known.
    pub async fn learn(&self, stored: &Stored, set: &WorkingSetOf) -> Result<Stored, SaveError> {
        let holds = |page: &u32| {
            let offset = u64::from(*page) * hearth_chunk_store::PAGE_BYTES as u64;
            stored.memory.next_data(offset).is_some_and(|data| data.start <= offset)
        };
        let (full, zeros): (Vec<u32>, Vec<u32>) = set.pages.iter().copied().partition(holds);
        let owner = stored.name.owner();
        // A better one shares most chunks with the one before, which may be damaged.
        let pack = self.chunks.storing_all().write_pack(&owner, &stored.memory, &full).await?;
        let record = Record {
            pack: Some(pack.id),
            zeros,
            recordings: set.recordings,
            ..stored.record.clone()
        };
        let mut files = vec![&stored.memory, &pack.file];
        files.extend(&stored.scratch);
        let [before, state] = stored.held();
        let kept = self.name(&stored.name, Some(before), &record, &files, state).await?;
        let pack = Some(Packed::new(pack.file));
        let [_, state] = stored._held.clone();
        Ok(Stored { record, pack, _held: [kept.file, state], ..stored.clone() })
    }

    /// Takes a snapshot's name away, so that its files go with a later collection.
    pub async fn remove(&self, name: &Name) -> Result<(), object_store::Error> {
        let _naming = self.naming.lock().await;
        match self.objects.delete(&name.path()).await {
            Err(Error::NotFound { .. }) => Ok(()),
            removed => removed,
        }
    }

    /// Gives a record its name, which so far must be that of `before`, if any is given.
    async fn name(
        &self,
        name: &Name,
        before: Option<&StoredFile>,
        record: &Record,
        files: &[&StoredFile],
        state: &StoredFile,
    ) -> Result<Written, SaveError> {
        let text = serde_json::to_vec(record).map_err(SaveError::Encode)?;
        let kept = self.chunks.write(&name.owner(), text).await?;
        let whole = [&kept.file, state];
        let copies = self.chunks.copies(files, &whole, COPIES_BYTES_MAX).await;
        let copies = copies.map_err(OpenError::Read)?.encode();
        let named = [kept.id.to_string().as_bytes(), b"\n", &copies].concat();
        let _naming = self.naming.lock().await;
        let Some(before) = before else {
            let put = self.objects.put(&name.path(), named.into()).await;
            put.map_err(SaveError::Name)?;
            return Ok(kept);
        };
        let found = self.name_found(name).await?;
        let Some(found) = found else { return Err(SaveError::Replaced) };
        if record_and_copies(found.bytes)?.0 != before.id() {
            return Err(SaveError::Replaced);
        }
        let path = name.path();
        let is_same = put_unchanged(&*self.objects, &path, named, found.version).await;
        if !is_same.map_err(SaveError::Name)? {
            return Err(SaveError::Replaced);
        }
        Ok(kept)
    }

    /// Which record a name is of, and what it brings along.
    pub(crate) async fn named(
        &self,
        name: &Name,
    ) -> Result<Option<(ManifestId, AtHand)>, OpenError> {
        let found = self.name_found(name).await?;
        found.map(|found| record_and_copies(found.bytes)).transpose()
    }

    /// What lies under a name.
    pub(crate) async fn name_found(&self, name: &Name) -> Result<Option<NameFound>, OpenError> {
        match self.objects.get(&name.path()).await {
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(OpenError::Name(error)),
            Ok(found) if found.meta.size > NAME_BYTES_MAX => {
                Err(OpenError::TooLarge(found.meta.size))
            }
            Ok(found) => {
                let (e_tag, version) = (found.meta.e_tag.clone(), found.meta.version.clone());
                let bytes = found.bytes().await.map_err(OpenError::Name)?;
                Ok(Some(NameFound { bytes, version: UpdateVersion { e_tag, version } }))
            }
        }
    }

    pub(crate) async fn record(
        &self,
        name: &Name,
        id: &ManifestId,
        at_hand: &AtHand,
    ) -> Result<(StoredFile, Record), OpenError> {
        let file = self.chunks.open_with(&name.owner(), id, at_hand).await?;
        let text = whole(&file, at_hand).await?;
        let record: Record =
            serde_json::from_slice(&text).map_err(|error| OpenError::Record(Some(error)))?;
        match record.version {
            VERSION => Ok((file, record)),
            _ => Err(OpenError::Record(None)),
        }
    }
}

/// What lies under a name, and which writing of it that was.
pub(crate) struct NameFound {
    pub(crate) bytes: Bytes,
    pub(crate) version: UpdateVersion,
}

fn record_and_copies(mut id: Bytes) -> Result<(ManifestId, AtHand), OpenError> {
    let copies = match id.iter().position(|byte| *byte == b'\n') {
        Some(end) => id.split_off(end).slice(1..),
        None => Bytes::new(),
    };
    let id = std::str::from_utf8(&id).map_err(|_| OpenError::Damaged(None))?;
    let id = id.parse().map_err(|error| OpenError::Damaged(Some(error)))?;
    Ok((id, AtHand::decode(copies)))
}

async fn whole(file: &StoredFile, at_hand: &AtHand) -> Result<Bytes, OpenError> {
    match file.size() {
        size if size > WHOLE_BYTES_MAX => Err(OpenError::TooLarge(size)),
        _ => Ok(file.read_whole(at_hand).await?),
    }
}
