//! Keys of accounts and layers, and the salt: made at first use, kept on disk,
//! each sealed by the master key.
//!
//! ```text
//!  keyring/account-000000000001.key        0       8         10           14        22       54
//!          layer-ID.key                    ├───────┼─────────┼────────────┼─────────┼─ ─ ─ ──┼───────┤
//!          salt.key                        │ magic │ version │ generation │ made at │ sealed │ check │
//!          master.key (LocalMasterKey)     └───────┴─────────┴────────────┴─────────┴─ ─ ─ ──┴───────┘
//! ```
//!
//! `check` is the BLAKE3 of all before it: damage is told from a wrong master
//! key. The master key authenticates the rest, with the file's name. Only the
//! salt has generations; old salts are not kept, as manifests hold the keys.

use crate::blocking::blocking;
use crate::bounds::{KEYS_OPEN_MAX, SALT_AGE_MAX};
use crate::durable;
use crate::master_key::{LocalMasterKey, MasterKey, MasterKeyError};
use hearth_ambient::{clock, random};
use hearth_chunk_format::{ChunkSecret, ManifestKey, Owner, OwnerKey, SaltGeneration};
use std::collections::HashMap;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const MAGIC: &[u8; 8] = b"hearthky";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 22;
const CHECK_BYTES: usize = 32;
const MASTER: &str = "master.key";
const SALT: &str = "salt.key";

/// Keys, by owner.
pub struct Keyring {
    dir: PathBuf,
    master: Arc<dyn MasterKey>,
    /// Opened keys, by the file's name. Held while one is read or made, so that
    /// it happens once.
    open: tokio::sync::Mutex<HashMap<String, Stored>>,
}

/// A key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The master key does not serve.
    #[error("cannot use the master key for {0}")]
    Master(String, #[source] MasterKeyError),
    /// There is no such key, and what it sealed cannot be read.
    #[error("there is no key {0}")]
    Missing(String),
    /// The file is not what was written.
    #[error("the key {0} is damaged: restore it from a copy")]
    Damaged(String),
    /// A later Hearth wrote it.
    #[error("the key {0} has version {1}; this is version {VERSION}")]
    Version(String, u16),
    /// The file cannot be read or written.
    #[error("cannot read or write the key {0}")]
    Io(String, #[source] io::Error),
}

/// What a file of this owner is written with.
#[derive(Clone, Debug)]
pub(crate) struct WritingKeys {
    pub(crate) chunks: ChunkSecret,
    pub(crate) manifest: ManifestKey,
    pub(crate) salt: Option<SaltGeneration>,
}

#[derive(Clone)]
struct Stored {
    key: OwnerKey,
    /// Zero for all but the salt.
    generation: u32,
    made_at: Duration,
}

impl Keyring {
    /// The keyring in `dir`, made if missing, under `master`.
    pub fn new(dir: &Path, master: Arc<dyn MasterKey>) -> io::Result<Self> {
        durable::secret_dir(dir)?;
        Ok(Self { dir: dir.to_owned(), master, open: tokio::sync::Mutex::default() })
    }

    /// The keyring in `dir`, under a master key in the same directory. A master
    /// key is made only where no key was sealed yet.
    pub async fn local(dir: &Path) -> Result<Self, KeyringError> {
        let failed = |error| KeyringError::Io("directory".into(), error);
        durable::secret_dir(dir).map_err(failed)?;
        let used = std::fs::read_dir(dir).map_err(failed)?.flatten().any(|entry| {
            let name = entry.file_name();
            name != MASTER && Path::new(&name).extension().is_some_and(|e| e == "key")
        });
        let path = dir.join(MASTER);
        let master = match used {
            true => LocalMasterKey::open(&path).await,
            false => LocalMasterKey::create(&path).await,
        };
        let master = master.map_err(|error| KeyringError::Master("the keyring".into(), error))?;
        Self::new(dir, Arc::new(master)).map_err(failed)
    }

    /// Replaces the salt: from now on, files of unknown origin share no chunk
    /// with older ones. Also happens by itself when the salt is 30 days old.
    pub async fn rotate_salt(&self) -> Result<(), KeyringError> {
        let mut open = self.open.lock().await;
        let old = self.load(&mut open, SALT).await?;
        self.replace_salt(&mut open, old).await.map(drop)
    }

    /// What manifests of this owner open with. Makes no key.
    pub(crate) async fn manifest_key(&self, owner: &Owner) -> Result<ManifestKey, KeyringError> {
        let name = file_name(owner);
        let found = self.load(&mut *self.open.lock().await, &name).await?;
        Ok(found.ok_or(KeyringError::Missing(name))?.key.manifest_key())
    }

    /// What files of this owner are written with, made at first use.
    pub(crate) async fn writing_keys(&self, owner: &Owner) -> Result<WritingKeys, KeyringError> {
        let mut open = self.open.lock().await;
        let name = file_name(owner);
        let key = match self.load(&mut open, &name).await? {
            Some(found) => found.key,
            None => self.make(&mut open, &name, 0).await?.key,
        };
        let manifest = key.manifest_key();
        if !matches!(owner, Owner::Unknown(_)) {
            return Ok(WritingKeys { chunks: key.chunk_secret(), manifest, salt: None });
        }
        let salt = match self.load(&mut open, SALT).await? {
            Some(salt) if clock::unix_now().saturating_sub(salt.made_at) < SALT_AGE_MAX => salt,
            old => self.replace_salt(&mut open, old).await?,
        };
        Ok(WritingKeys {
            chunks: salt.key.salted_chunk_secret(),
            manifest,
            salt: NonZeroU32::new(salt.generation).map(SaltGeneration),
        })
    }

    async fn replace_salt(
        &self,
        open: &mut HashMap<String, Stored>,
        old: Option<Stored>,
    ) -> Result<Stored, KeyringError> {
        let generation = match old.and_then(|old| NonZeroU32::new(old.generation)) {
            Some(generation) => SaltGeneration(generation).next(),
            None => SaltGeneration::FIRST,
        };
        self.make(open, SALT, generation.0.get()).await
    }

    /// The key of that name, if there is one.
    async fn load(
        &self,
        open: &mut HashMap<String, Stored>,
        name: &str,
    ) -> Result<Option<Stored>, KeyringError> {
        if let Some(stored) = open.get(name) {
            return Ok(Some(stored.clone()));
        }
        let path = self.dir.join(name);
        let bytes = match blocking(move || std::fs::read(path)).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| KeyringError::Io(name.into(), error))?,
        };
        let stored = self.unseal(name, &bytes).await?;
        keep(open, name, &stored);
        Ok(Some(stored))
    }

    /// Makes a key; if another process was faster, that one's.
    async fn make(
        &self,
        open: &mut HashMap<String, Stored>,
        name: &str,
        generation: u32,
    ) -> Result<Stored, KeyringError> {
        // Whole seconds are what the file keeps.
        let made_at = Duration::from_secs(clock::unix_now().as_secs());
        let key = OwnerKey::from_bytes(random::bytes());
        let made = Stored { key, generation, made_at };
        let bytes = self.seal(name, &made).await?;
        let path = self.dir.join(name);
        let is_mine = blocking(move || match generation {
            0 | 1 => durable::create(&path, &bytes),
            _ => durable::replace(&path, &bytes).map(|()| true),
        });
        if is_mine.await.map_err(|error| KeyringError::Io(name.into(), error))? {
            keep(open, name, &made);
            return Ok(made);
        }
        self.load(open, name).await?.ok_or_else(|| KeyringError::Missing(name.into()))
    }

    async fn seal(&self, name: &str, stored: &Stored) -> Result<Vec<u8>, KeyringError> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(stored.generation.to_le_bytes());
        bytes.extend(stored.made_at.as_secs().to_le_bytes());
        let sealed = self.master.seal(&context(name, stored), stored.key.expose()).await;
        bytes.extend(sealed.map_err(|error| KeyringError::Master(name.into(), error))?);
        bytes.extend(blake3::hash(&bytes).as_bytes());
        Ok(bytes)
    }

    async fn unseal(&self, name: &str, bytes: &[u8]) -> Result<Stored, KeyringError> {
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
        let key = self.master.unseal(&context(name, &stored), sealed).await;
        let key = key.map_err(|error| KeyringError::Master(name.into(), error))?;
        stored.key = OwnerKey::from_bytes(key.try_into().map_err(|_| damaged())?);
        Ok(stored)
    }
}

fn keep(open: &mut HashMap<String, Stored>, name: &str, stored: &Stored) {
    if open.len() >= KEYS_OPEN_MAX {
        open.clear();
    }
    open.insert(name.to_owned(), stored.clone());
}

fn context(name: &str, stored: &Stored) -> String {
    format!("{name} {} {}", stored.generation, stored.made_at.as_secs())
}

/// An account has one key, for its own files and for those of unknown origin.
fn file_name(owner: &Owner) -> String {
    match owner {
        Owner::Layer(id) => format!("layer-{id}.key"),
        Owner::Account(id) | Owner::Unknown(id) => format!("account-{id}.key"),
    }
}

#[cfg(test)]
mod tests;
