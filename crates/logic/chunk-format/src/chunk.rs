//! One chunk: sealed so that equal pages under one secret give equal bytes.
//!
//! The key is the keyed hash of the plaintext, so it seals that plaintext alone
//! and AES-256-GCM's nonce need not vary (convergent encryption: Douceur et al.,
//! "Reclaiming space from duplicate files", 2002; as used by Brooker et al.,
//! "On-demand container loading in AWS Lambda", 2023). The secret under the
//! hash keeps outsiders from testing guesses.

use crate::keys::{ChunkKey, ChunkSecret};
use crate::layout::{CHUNK_PAGES, PAGE_BYTES, SEALED_EXTRA_BYTES};
use crate::names::ChunkName;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Each key seals one plaintext.
const NONCE: [u8; 12] = [0; 12];

/// All that it takes to fetch a chunk, check it and open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRef {
    /// Its name.
    pub name: ChunkName,
    /// Its key.
    pub key: ChunkKey,
    /// Pages in it: 1 to [`CHUNK_PAGES`].
    pub pages: u8,
}

/// The bytes are not the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Cut short, or too long.
    #[error("a chunk of {expected} bytes has {found}")]
    Length {
        /// What the manifest says.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// The hash of the bytes is not the name.
    #[error("a chunk's bytes do not match its name")]
    Name,
    /// The name is right and the key does not fit: the manifest is wrong.
    #[error("a chunk does not open with its key")]
    Key,
}

impl ChunkRef {
    /// Bytes of plaintext.
    pub fn len(&self) -> usize {
        usize::from(self.pages) * PAGE_BYTES
    }

    /// No chunk is.
    pub fn is_empty(&self) -> bool {
        self.pages == 0
    }

    /// Bytes at rest.
    pub fn sealed_len(&self) -> usize {
        self.len() + SEALED_EXTRA_BYTES
    }
}

/// Seals whole pages: what to remember, and what to store.
///
/// # Panics
/// If `plaintext` is not 1 to [`CHUNK_PAGES`] whole pages.
pub fn seal_chunk(secret: &ChunkSecret, mut plaintext: Vec<u8>) -> (ChunkRef, Vec<u8>) {
    let pages = plaintext.len() / PAGE_BYTES;
    assert!((1..=CHUNK_PAGES).contains(&pages) && plaintext.len().is_multiple_of(PAGE_BYTES));
    let key = ChunkKey(*blake3::keyed_hash(&secret.0, &plaintext).as_bytes());
    cipher(&key)
        .seal_in_place_append_tag(nonce(), Aad::empty(), &mut plaintext)
        .expect("a chunk is far below what the cipher takes");
    (ChunkRef { name: ChunkName::of(&plaintext), key, pages: pages as u8 }, plaintext)
}

/// Whether sealed bytes are what `chunk` names.
pub fn check_name(chunk: &ChunkRef, sealed: &[u8]) -> Result<(), ChunkError> {
    let (expected, found) = (chunk.sealed_len(), sealed.len());
    if found != expected {
        return Err(ChunkError::Length { expected, found });
    }
    if ChunkName::of(sealed) != chunk.name {
        return Err(ChunkError::Name);
    }
    Ok(())
}

/// Checks sealed bytes against the name and opens them.
pub fn open_chunk(chunk: &ChunkRef, sealed: &[u8]) -> Result<Vec<u8>, ChunkError> {
    check_name(chunk, sealed)?;
    let (ciphertext, tag) = sealed.split_at(chunk.len());
    let mut plaintext = vec![0; chunk.len()];
    cipher(&chunk.key)
        .open_separate_gather(nonce(), Aad::empty(), ciphertext, tag, &mut plaintext)
        .map_err(|_| ChunkError::Key)?;
    Ok(plaintext)
}

/// Seals what a chunk was opened to: the bytes of its name, or none if it was something
/// else.
pub fn reseal_chunk(chunk: &ChunkRef, mut plaintext: Vec<u8>) -> Option<Vec<u8>> {
    if plaintext.len() != chunk.len() {
        return None;
    }
    cipher(&chunk.key)
        .seal_in_place_append_tag(nonce(), Aad::empty(), &mut plaintext)
        .expect("a chunk is far below what the cipher takes");
    (ChunkName::of(&plaintext) == chunk.name).then_some(plaintext)
}

fn cipher(key: &ChunkKey) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key.0).expect("a key of the cipher's length"))
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key(NONCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OwnerKey;

    fn secret(byte: u8) -> ChunkSecret {
        OwnerKey::from_bytes([byte; 32]).chunk_secret()
    }

    #[test]
    fn equal_pages_under_one_secret_are_one_chunk_and_under_two_are_two() {
        let pages = vec![5; 3 * PAGE_BYTES];
        let (chunk, sealed) = seal_chunk(&secret(1), pages.clone());
        assert_eq!(seal_chunk(&secret(1), pages.clone()), (chunk.clone(), sealed.clone()));
        let (other, other_sealed) = seal_chunk(&secret(2), pages.clone());
        assert_ne!(other.name, chunk.name);
        assert_ne!(other_sealed, sealed);
        assert_eq!(open_chunk(&chunk, &sealed).unwrap(), pages);
        assert!(reseal_chunk(&chunk, pages.clone()) == Some(sealed));
        for something_else in [vec![6; pages.len()], pages[PAGE_BYTES..].to_vec(), Vec::new()] {
            assert!(reseal_chunk(&chunk, something_else).is_none());
        }
    }

    #[test]
    fn what_is_not_the_chunk_is_told_apart() {
        let (chunk, sealed) = seal_chunk(&secret(1), vec![5; PAGE_BYTES]);
        for at in [0, PAGE_BYTES - 1, sealed.len() - 1] {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert_eq!(open_chunk(&chunk, &flipped), Err(ChunkError::Name));
        }
        let cut = open_chunk(&chunk, &sealed[1..]);
        let expected = chunk.sealed_len();
        assert_eq!(cut, Err(ChunkError::Length { expected, found: expected - 1 }));
        let other = ChunkRef { key: ChunkKey([0; 32]), ..chunk };
        assert_eq!(open_chunk(&other, &sealed), Err(ChunkError::Key));
    }
}
