//! A manifest at rest: sealed with its owner's key.
//!
//! ```text
//!  0       8         10     11          12        12+n       24+n
//!  ├───────┼─────────┼──────┼───────────┼─────────┼──────────┼──────────┬────────┐
//!  │ magic │ version │ kind │ length n  │ owner   │ nonce    │ manifest │ tag 16 │
//!  └───────┴─────────┴──────┴───────────┴─────────┴──────────┴──────────┴────────┘
//!  ╰────────── in clear, authenticated ───────────╯          ╰─ sealed ─╯
//!
//!  id = BLAKE3 of all of it
//! ```
//!
//! The nonce is a keyed hash of the manifest: the same file of the same owner is
//! the same bytes, and so has one id. AES-256-GCM-SIV makes that safe: a nonce
//! that comes twice tells no more than that two manifests are equal.

use crate::decode::{Malformed, decode};
use crate::encode::encode;
use crate::keys::ManifestKey;
use crate::layout::MANIFEST_BYTES_MAX;
use crate::manifest::{Kind, Manifest};
use crate::names::ManifestId;
use crate::owner::Owner;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

const MAGIC: &[u8; 8] = b"hearthmf";
const VERSION: u16 = 1;
const KIND_AT: usize = 10;
const OWNER_LENGTH_AT: usize = 11;
const OWNER_AT: usize = 12;

/// A manifest cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are not what the id names: damaged, cut short or exchanged.
    #[error("a manifest's bytes do not match its id")]
    Damaged,
    /// It belongs to somebody else.
    #[error("the manifest belongs to {found}, not to {wanted}")]
    OtherOwner {
        /// Who asked.
        wanted: Owner,
        /// Whose it says it is.
        found: Owner,
    },
    /// It is sealed with another key than the owner has now.
    #[error("the manifest of {0} is sealed with another key than the keyring has")]
    WrongKey(Owner),
    /// A later Hearth wrote it.
    #[error("the manifest has version {0}; this is version {VERSION}")]
    Version(u16),
    /// It has the right id, yet breaks the format's rules.
    #[error("a manifest is malformed")]
    Malformed(#[source] Malformed),
    /// Over [`MANIFEST_BYTES_MAX`].
    #[error("a manifest of {0} bytes is too large")]
    TooLarge(usize),
}

/// Seals a manifest for its owner: its id, and what to store.
pub fn seal_manifest(
    owner: &Owner,
    key: &ManifestKey,
    manifest: &Manifest,
) -> Result<(ManifestId, Vec<u8>), ManifestError> {
    let plaintext = encode(manifest);
    let owner = owner.to_string();
    let mut out = Vec::with_capacity(OWNER_AT + owner.len() + NONCE_LEN + plaintext.len() + 16);
    out.extend(MAGIC);
    out.extend(VERSION.to_le_bytes());
    out.push(kind_byte(manifest.kind));
    out.push(owner.len().try_into().expect("an owner's text is short"));
    out.extend(owner.as_bytes());

    let mut hash = blake3::Hasher::new_keyed(&key.0);
    hash.update(&out).update(&plaintext);
    let nonce: [u8; NONCE_LEN] = hash.finalize().as_bytes()[..NONCE_LEN].try_into().expect("long");
    let header = out.clone();
    let mut sealed = plaintext;
    cipher(key)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(&header),
            &mut sealed,
        )
        .map_err(|_| ManifestError::TooLarge(sealed.len()))?;
    out.extend(nonce);
    out.append(&mut sealed);
    if out.len() > MANIFEST_BYTES_MAX {
        return Err(ManifestError::TooLarge(out.len()));
    }
    Ok((ManifestId::of(&out), out))
}

/// Checks sealed bytes against the id, and opens them for `owner`.
pub fn open_manifest(
    id: &ManifestId,
    owner: &Owner,
    key: &ManifestKey,
    sealed: &[u8],
) -> Result<Manifest, ManifestError> {
    let header = Header::read(id, sealed)?;
    if header.owner != *owner {
        return Err(ManifestError::OtherOwner { wanted: owner.clone(), found: header.owner });
    }
    let malformed = ManifestError::Malformed(Malformed::Header);
    let (clear, rest) = sealed.split_at(header.length);
    let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(malformed)?;
    let mut body = body.to_vec();
    let plaintext = cipher(key)
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(clear), &mut body)
        .map_err(|_| ManifestError::WrongKey(owner.clone()))?;
    decode(header.kind, plaintext).map_err(ManifestError::Malformed)
}

/// Whose manifest these bytes say they are; only whoever has that owner's key
/// can tell whether it is true.
pub fn manifest_owner(id: &ManifestId, sealed: &[u8]) -> Result<Owner, ManifestError> {
    Header::read(id, sealed).map(|header| header.owner)
}

struct Header {
    kind: Kind,
    owner: Owner,
    length: usize,
}

impl Header {
    fn read(id: &ManifestId, sealed: &[u8]) -> Result<Self, ManifestError> {
        if sealed.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge(sealed.len()));
        }
        if ManifestId::of(sealed) != *id {
            return Err(ManifestError::Damaged);
        }
        let malformed = || ManifestError::Malformed(Malformed::Header);
        let (magic, rest) = sealed.split_first_chunk::<8>().ok_or_else(malformed)?;
        let (version, _) = rest.split_first_chunk::<2>().ok_or_else(malformed)?;
        if magic != MAGIC {
            return Err(malformed());
        }
        let version = u16::from_le_bytes(*version);
        if version != VERSION {
            return Err(ManifestError::Version(version));
        }
        let kind = match sealed.get(KIND_AT) {
            Some(0) => Kind::File,
            Some(1) => Kind::Pack,
            _ => return Err(malformed()),
        };
        let length = OWNER_AT + usize::from(*sealed.get(OWNER_LENGTH_AT).ok_or_else(malformed)?);
        let owner = sealed.get(OWNER_AT..length).ok_or_else(malformed)?;
        let owner = std::str::from_utf8(owner).ok().and_then(|text| text.parse().ok());
        Ok(Self { kind, owner: owner.ok_or_else(malformed)?, length })
    }
}

fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::File => 0,
        Kind::Pack => 1,
    }
}

fn cipher(key: &ManifestKey) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM_SIV, &key.0).expect("a key of the cipher's length");
    LessSafeKey::new(key)
}

#[cfg(test)]
mod tests;
