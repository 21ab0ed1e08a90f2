//! A key as it lies in its place, the same in each of them.
//!
//! ```text
//!  account-000000000001.key   0       8         10           14        22       54
//!  layer-ID.key               ├───────┼─────────┼────────────┼─────────┼─ ─ ─ ──┼───────┤
//!  salt.key, check.key        │ magic │ version │ generation │ made at │ sealed │ check │
//!                             └───────┴─────────┴────────────┴─────────┴─ ─ ─ ──┴───────┘
//! ```
//!
//! `check` is the BLAKE3 of all before it: damage is told from a wrong master
//! key. The master key authenticates the rest, with the key's name.

use super::KeyringError;
use crate::master_key::MasterKey;
use hearth_chunk_format::OwnerKey;
use std::time::Duration;

const MAGIC: &[u8; 8] = b"hearthky";
pub(super) const VERSION: u16 = 1;
const HEADER_BYTES: usize = 22;
const CHECK_BYTES: usize = 32;
/// Longest that one may be: what a key service makes of 32 bytes has room in it.
pub(super) const SEALED_BYTES_MAX: u64 = 16 << 10;

/// A key, opened.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) key: OwnerKey,
    /// Zero for all but the salt.
    pub(super) generation: u32,
    pub(super) made_at: Duration,
}

/// The bytes that are kept of a key.
pub(super) async fn seal(
    master: &dyn MasterKey,
    name: &str,
    stored: &Stored,
) -> Result<Vec<u8>, KeyringError> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(stored.generation.to_le_bytes());
    bytes.extend(stored.made_at.as_secs().to_le_bytes());
    let sealed = master.seal(&context(name, stored), stored.key.expose()).await;
    bytes.extend(sealed.map_err(|error| KeyringError::Master(name.into(), error))?);
    bytes.extend(blake3::hash(&bytes).as_bytes());
    Ok(bytes)
}

/// The key of bytes that were kept under this name.
pub(super) async fn unseal(
    master: &dyn MasterKey,
    name: &str,
    bytes: &[u8],
) -> Result<Stored, KeyringError> {
    let damaged = || KeyringError::Damaged(name.into());
    let (content, check) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or_else(damaged)?;
    if blake3::hash(content).as_bytes() != check || !content.starts_with(MAGIC) {
        return Err(damaged());
    }
    let (header, sealed) = content.split_first_chunk::<HEADER_BYTES>().ok_or_else(damaged)?;
    let version = u16::from_le_bytes([header[8], header[9]]);
    if version != VERSION {
        return Err(KeyringError::Version(name.into(), version));
    }
    let generation = u32::from_le_bytes(*header[10..].first_chunk().expect("12 bytes"));
    let made_at = u64::from_le_bytes(*header[14..].first_chunk().expect("8 bytes"));
    let mut stored = Stored {
        key: OwnerKey::from_bytes([0; 32]),
        generation,
        made_at: Duration::from_secs(made_at),
    };
    let key = master.unseal(&context(name, &stored), sealed).await;
    let key = key.map_err(|error| KeyringError::Master(name.into(), error))?;
    stored.key = OwnerKey::from_bytes(key.try_into().map_err(|_| damaged())?);
    Ok(stored)
}

fn context(name: &str, stored: &Stored) -> String {
    format!("{name} {} {}", stored.generation, stored.made_at.as_secs())
}
