//! What lies in a store, by name, and the levels where it may lie.

use bytes::Bytes;
use hearth_chunk_format::{
    ChunkError, ChunkName, ChunkRef, MANIFEST_BYTES_MAX, Manifest, ManifestError, ManifestId,
    ManifestKey, Owner, manifest_owner, open_chunk, open_manifest, reseal_chunk, seal_manifest,
};
use object_store::path::Path as ObjectPath;
use std::fmt;

/// Prefixes at the origin.
pub(crate) const CHUNKS: &str = "chunks";
pub(crate) const MANIFESTS: &str = "manifests";

/// Something sealed, named by the hash of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Object {
    /// A chunk.
    Chunk(ChunkName),
    /// A manifest.
    Manifest(ManifestId),
}

/// Where an object was, or was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Opened, in memory.
    Memory,
    /// On the worker's disk.
    Disk,
    /// In the object store.
    Origin,
}

impl Object {
    /// The hash.
    pub(crate) fn hash(&self) -> &[u8; 32] {
        match self {
            Self::Chunk(name) => name.as_bytes(),
            Self::Manifest(id) => id.as_bytes(),
        }
    }

    /// Where it is at the origin: in one of 256 folders, as a folder with a
    /// million files serves nobody.
    pub(crate) fn path(&self) -> ObjectPath {
        let (prefix, name) = match self {
            Self::Chunk(name) => (CHUNKS, name.to_string()),
            Self::Manifest(id) => (MANIFESTS, id.to_string()),
        };
        ObjectPath::from_iter([prefix, &name[..2], &name])
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chunk(name) => write!(f, "chunk {name}"),
            Self::Manifest(id) => write!(f, "manifest {id}"),
        }
    }
}

impl Level {
    /// As metrics and logs call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Origin => "origin",
        }
    }
}

/// Bytes do not open.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// They are damaged: another level may have them whole.
    Damaged,
    /// They are whole, and not for whoever asked.
    Refused(ManifestError),
}

/// Something that can be fetched, checked and opened.
pub(crate) trait Sealed: Clone + Send + 'static {
    /// What comes out.
    type Opened: Send + 'static;
    /// Its name.
    fn object(&self) -> Object;
    /// Most bytes that it can have.
    fn sealed_len_max(&self) -> usize;
    /// Checks the bytes against the name and opens them.
    fn open(&self, sealed: &[u8]) -> Result<Self::Opened, Unfit>;
    /// Seals what was opened: the bytes of this name, or none.
    fn reseal(&self, opened: Self::Opened) -> Option<Bytes>;
}

impl Sealed for ChunkRef {
    type Opened = Vec<u8>;

    fn object(&self) -> Object {
        Object::Chunk(self.name)
    }

    fn sealed_len_max(&self) -> usize {
        self.sealed_len()
    }

    fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, Unfit> {
        // A key that does not fit is the manifest's fault; no level has a better chunk.
        open_chunk(self, sealed).map_err(|_: ChunkError| Unfit::Damaged)
    }

    fn reseal(&self, opened: Vec<u8>) -> Option<Bytes> {
        reseal_chunk(self, opened).map(Bytes::from)
    }
}

/// A manifest, as its owner asks for it.
#[derive(Clone)]
pub(crate) struct WantedManifest {
    pub(crate) id: ManifestId,
    pub(crate) owner: Owner,
    pub(crate) key: ManifestKey,
}

impl Sealed for WantedManifest {
    type Opened = Manifest;

    fn object(&self) -> Object {
        Object::Manifest(self.id)
    }

    fn sealed_len_max(&self) -> usize {
        MANIFEST_BYTES_MAX
    }

    fn open(&self, sealed: &[u8]) -> Result<Manifest, Unfit> {
        open_manifest(&self.id, &self.owner, &self.key, sealed).map_err(unfit)
    }

    fn reseal(&self, opened: Manifest) -> Option<Bytes> {
        let (id, sealed) = seal_manifest(&self.owner, &self.key, &opened).ok()?;
        (id == self.id).then(|| sealed.into())
    }
}

/// A manifest, as somebody asks who wants to know whose it is.
#[derive(Clone)]
pub(crate) struct UnownedManifest(pub(crate) ManifestId);

impl Sealed for UnownedManifest {
    type Opened = Owner;

    fn object(&self) -> Object {
        Object::Manifest(self.0)
    }

    fn sealed_len_max(&self) -> usize {
        MANIFEST_BYTES_MAX
    }

    fn open(&self, sealed: &[u8]) -> Result<Owner, Unfit> {
        manifest_owner(&self.0, sealed).map_err(unfit)
    }

    fn reseal(&self, _: Owner) -> Option<Bytes> {
        // Whose it is does not tell what it says.
        None
    }
}

fn unfit(error: ManifestError) -> Unfit {
    match error {
        ManifestError::Damaged => Unfit::Damaged,
        refused => Unfit::Refused(refused),
    }
}
