//! Keys, and what is derived from them. None is ever shown.
//!
//! ```text
//!  OwnerKey ──┬─ derive ─► ChunkSecret ─ keyed hash of the pages ─► ChunkKey
//!             └─ derive ─► ManifestKey
//!  salt ──────── derive ─► ChunkSecret
//! ```

use std::fmt;
use std::num::NonZeroU32;

/// Contexts of derivation: no two purposes ever use one key.
const CHUNKS_OF_OWNER: &str = "hearth 2026 owner key to chunk secret";
const CHUNKS_OF_SALT: &str = "hearth 2026 salt to chunk secret";
const MANIFEST_OF_OWNER: &str = "hearth 2026 owner key to manifest key";

macro_rules! key_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(pub(crate) [u8; 32]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

key_newtype! {
    /// The key of a layer or an account, or a salt: what a keyring keeps.
    OwnerKey
}
key_newtype! {
    /// What chunks' keys are derived under: whoever has it can tell whether some
    /// known pages are among the chunks.
    ChunkSecret
}
key_newtype! {
    /// What manifests are sealed with.
    ManifestKey
}
key_newtype! {
    /// The key of one chunk; it stands in the manifests that name the chunk.
    ChunkKey
}

impl PartialEq for ChunkKey {
    /// Takes as long whether the keys are equal or not.
    fn eq(&self, other: &Self) -> bool {
        blake3::Hash::from_bytes(self.0) == blake3::Hash::from_bytes(other.0)
    }
}

impl Eq for ChunkKey {}

impl OwnerKey {
    /// A key that was made or read.
    pub fn from_bytes(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The key itself, to be sealed; the name makes each use easy to find.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// What chunks are sealed under if this is their owner's key.
    pub fn chunk_secret(&self) -> ChunkSecret {
        ChunkSecret(blake3::derive_key(CHUNKS_OF_OWNER, &self.0))
    }

    /// What chunks are sealed under if this is the salt.
    pub fn salted_chunk_secret(&self) -> ChunkSecret {
        ChunkSecret(blake3::derive_key(CHUNKS_OF_SALT, &self.0))
    }

    /// What manifests are sealed with if this is their owner's key.
    pub fn manifest_key(&self) -> ManifestKey {
        ManifestKey(blake3::derive_key(MANIFEST_OF_OWNER, &self.0))
    }
}

/// Which salt: counts up with each rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SaltGeneration(pub NonZeroU32);

impl SaltGeneration {
    /// The first salt there is.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The one after this.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for SaltGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_purposes_share_a_key_and_none_is_shown() {
        let key = OwnerKey::from_bytes([7; 32]);
        let derived =
            [key.0, key.chunk_secret().0, key.salted_chunk_secret().0, key.manifest_key().0];
        for (i, one) in derived.iter().enumerate() {
            assert!(derived[..i].iter().all(|other| other != one));
        }
        assert_eq!(format!("{key:?}"), "OwnerKey(…)");
        assert_eq!(format!("{:?}", ChunkKey([7; 32])), "ChunkKey(…)");
    }
}
