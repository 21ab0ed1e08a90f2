//! Keys of accounts and layers, and the salt: made at first use, kept in a place, each
//! sealed by the master key.
//!
//! | place | whose | master key |
//! |---|---|---|
//! | a directory ([`Keyring::local`]) | one server's | in the same directory |
//! | `keys/` of the object store ([`Keyring::shared`]) | a cluster's | a file on each node |
//!
//! `place` keeps the bytes, `sealed` says what is in them, `shared` how the nodes of a
//! cluster come to have one master key. Only the salt has generations; old salts are not
//! kept, as manifests hold the keys.

mod error;
mod place;
mod sealed;
mod shared;

use crate::bounds::{KEYS_OPEN_MAX, SALT_AGE_MAX, SALT_SEEN_MAX};
use crate::durable;
use crate::master_key::{LocalMasterKey, MASTER_KEY_FILE, MasterKey};
pub use error::KeyringError;
use hearth_ambient::{clock, random};
use hearth_chunk_format::{ChunkSecret, ManifestKey, Owner, OwnerKey, SaltGeneration};
use place::Place;
use sealed::Stored;
use std::collections::HashMap;
use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const SALT: &str = "salt.key";

/// Keys, by owner.
pub struct Keyring {
    place: Place,
    master: Arc<dyn MasterKey>,
    /// Opened keys, by name, and when each was read.
    open: parking_lot::Mutex<HashMap<String, (Stored, Instant)>>,
    /// Held while a key is read or made, so that it happens once. What is open needs no
    /// turn: a place that hangs holds up only those who need something from it.
    turn: tokio::sync::Mutex<()>,
}

/// What a file of this owner is written with.
#[derive(Clone, Debug)]
pub(crate) struct WritingKeys {
    pub(crate) chunks: ChunkSecret,
    pub(crate) manifest: ManifestKey,
    pub(crate) salt: Option<SaltGeneration>,
}

impl Keyring {
    /// The keyring in `dir`, made if missing, under `master`.
    pub fn new(dir: &Path, master: Arc<dyn MasterKey>) -> io::Result<Self> {
        durable::secret_dir(dir)?;
        Ok(Self::at(Place::Directory(dir.to_owned()), master))
    }

    /// The keyring in `dir`, under a master key in the same directory. A master
    /// key is made only where no key was sealed yet.
    pub async fn local(dir: &Path) -> Result<Self, KeyringError> {
        let failed = |error| KeyringError::Io("directory".into(), error);
        durable::secret_dir(dir).map_err(failed)?;
        let used = std::fs::read_dir(dir).map_err(failed)?.flatten().any(|entry| {
            let name = entry.file_name();
            name != MASTER_KEY_FILE && Path::new(&name).extension().is_some_and(|e| e == "key")
        });
        let path = dir.join(MASTER_KEY_FILE);
        let master = match used {
            true => LocalMasterKey::open(&path).await,
            false => LocalMasterKey::create(&path).await,
        };
        let master = master.map_err(|error| KeyringError::Master("the keyring".into(), error))?;
        Self::new(dir, Arc::new(master)).map_err(failed)
    }

    fn at(place: Place, master: Arc<dyn MasterKey>) -> Self {
        Self { place, master, open: Default::default(), turn: Default::default() }
    }

    /// Replaces the salt: from now on, files of unknown origin share no chunk
    /// with older ones. Also happens by itself when the salt is 30 days old. Other nodes
    /// of a cluster notice within ten minutes.
    pub async fn rotate_salt(&self) -> Result<(), KeyringError> {
        let _turn = self.turn.lock().await;
        let old = self.read(SALT).await?;
        self.replace_salt(old).await.map(drop)
    }

    /// What manifests of this owner open with. Makes no key.
    pub(crate) async fn manifest_key(&self, owner: &Owner) -> Result<ManifestKey, KeyringError> {
        let name = file_name(owner);
        if let Some((found, _)) = self.opened(&name) {
            return Ok(found.key.manifest_key());
        }
        let _turn = self.turn.lock().await;
        let found = self.load(&name).await?;
        Ok(found.ok_or(KeyringError::Missing(name))?.key.manifest_key())
    }

    /// What files of this owner are written with, made at first use.
    pub(crate) async fn writing_keys(&self, owner: &Owner) -> Result<WritingKeys, KeyringError> {
        let key = self.owner_key(&file_name(owner)).await?;
        let manifest = key.manifest_key();
        if !matches!(owner, Owner::Unknown(_)) {
            return Ok(WritingKeys { chunks: key.chunk_secret(), manifest, salt: None });
        }
        let salt = self.salt().await?;
        Ok(WritingKeys {
            chunks: salt.key.salted_chunk_secret(),
            manifest,
            salt: NonZeroU32::new(salt.generation).map(SaltGeneration),
        })
    }

    async fn owner_key(&self, name: &str) -> Result<OwnerKey, KeyringError> {
        if let Some((found, _)) = self.opened(name) {
            return Ok(found.key);
        }
        let _turn = self.turn.lock().await;
        match self.load(name).await? {
            Some(found) => Ok(found.key),
            None => Ok(self.make(name, 0).await?.key),
        }
    }

    /// The salt, replaced if it is too old.
    async fn salt(&self) -> Result<Stored, KeyringError> {
        if let Some(salt) = self.opened_salt() {
            return Ok(salt);
        }
        let _turn = self.turn.lock().await;
        if let Some(salt) = self.opened_salt() {
            return Ok(salt);
        }
        // Read again though it may be open: another node may have replaced it.
        match self.read(SALT).await? {
            Some(salt) if is_young(&salt) => Ok(salt),
            old => self.replace_salt(old).await,
        }
    }

    /// The salt, if it is open and still in use as far as is known here.
    fn opened_salt(&self) -> Option<Stored> {
        let is_current = |read: Instant| !self.place.is_shared() || read.elapsed() < SALT_SEEN_MAX;
        let (salt, read) = self.opened(SALT)?;
        (is_young(&salt) && is_current(read)).then_some(salt)
    }

    /// Two nodes that find the salt too old at once may both come here, and the later one
    /// replaces what the earlier one has just made. What is there in the end is what both
    /// use, but for a node that read its own before the other's came: until it looks again
    /// ([`SALT_SEEN_MAX`]), it stores bytes a second time that others store, too. Nothing
    /// is lost, as manifests hold the keys of their chunks.
    async fn replace_salt(&self, old: Option<Stored>) -> Result<Stored, KeyringError> {
        let Some(generation) = old.and_then(|old| NonZeroU32::new(old.generation)) else {
            return self.make(SALT, SaltGeneration::FIRST.0.get()).await;
        };
        let generation = SaltGeneration(generation).next();
        let fresh = fresh(generation.0.get());
        let bytes = sealed::seal(&*self.master, SALT, &fresh).await?;
        self.place.replace(SALT, bytes).await?;
        self.read(SALT).await?.ok_or_else(|| KeyringError::Missing(SALT.into()))
    }

    /// The key of that name, if there is one. It takes a turn, as all below.
    async fn load(&self, name: &str) -> Result<Option<Stored>, KeyringError> {
        match self.opened(name) {
            Some((stored, _)) => Ok(Some(stored)),
            None => self.read(name).await,
        }
    }

    /// The same, read in any case.
    async fn read(&self, name: &str) -> Result<Option<Stored>, KeyringError> {
        let Some(bytes) = self.place.read(name).await? else { return Ok(None) };
        let stored = sealed::unseal(&*self.master, name, &bytes).await?;
        self.keep(name, &stored);
        Ok(Some(stored))
    }

    /// Makes a key; if another process was faster, that one's.
    async fn make(&self, name: &str, generation: u32) -> Result<Stored, KeyringError> {
        let made = fresh(generation);
        let bytes = sealed::seal(&*self.master, name, &made).await?;
        if self.place.create(name, bytes).await? {
            self.keep(name, &made);
            return Ok(made);
        }
        self.read(name).await?.ok_or_else(|| KeyringError::Missing(name.into()))
    }

    fn opened(&self, name: &str) -> Option<(Stored, Instant)> {
        self.open.lock().get(name).cloned()
    }

    fn keep(&self, name: &str, stored: &Stored) {
        let mut open = self.open.lock();
        if open.len() >= KEYS_OPEN_MAX {
            open.clear();
        }
        open.insert(name.to_owned(), (stored.clone(), Instant::now()));
    }
}

/// A key that nobody has yet.
fn fresh(generation: u32) -> Stored {
    // Whole seconds are what the file keeps.
    let made_at = Duration::from_secs(clock::unix_now().as_secs());
    Stored { key: OwnerKey::from_bytes(random::bytes()), generation, made_at }
}

fn is_young(salt: &Stored) -> bool {
    clock::unix_now().saturating_sub(salt.made_at) < SALT_AGE_MAX
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
