//! The master key: seals every other key. A file here; elsewhere a key service
//! can stand behind the same trait.

use crate::blocking::blocking;
use crate::durable;
use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use hearth_ambient::random;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"hearthmk";
const KEY_BYTES: usize = 32;
/// Enough of a hash to tell damage from another key.
const CHECK_BYTES: usize = 8;
/// What the file of a master key is called, in a keyring's directory and in a node's bundle.
pub const MASTER_KEY_FILE: &str = "master.key";
/// Permission bits of others than the file's owner.
const OTHERS: u32 = 0o077;

/// Seals and unseals keys. `context` says what the key is for: sealed for one
/// purpose, it does not unseal for another.
#[async_trait]
pub trait MasterKey: Send + Sync {
    /// Seals a key.
    async fn seal(&self, context: &str, key: &[u8]) -> Result<Vec<u8>, MasterKeyError>;
    /// Unseals what [`MasterKey::seal`] returned.
    async fn unseal(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, MasterKeyError>;
}

/// A master key does not serve.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// It is not the key that sealed this.
    #[error("the master key is not the one that this was sealed with")]
    Wrong,
    /// A key service does not answer.
    #[error("the master key is out of reach")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its file is missing though it sealed keys before.
    #[error("the master key {0} is missing, and keys sealed with it are there: restore it")]
    Missing(PathBuf),
    /// Its file is not what was written.
    #[error("the master key {0} is damaged: restore it from a copy")]
    Damaged(PathBuf),
    /// There is one already.
    #[error("there is a file {0} already, which is not overwritten")]
    Exists(PathBuf),
    /// Others may read it.
    #[error("others may read the master key {0}: its mode must be 0600")]
    Exposed(PathBuf),
    /// Its file cannot be read or made.
    #[error("cannot read or make the master key")]
    Io(#[source] io::Error),
}

/// A master key in a file.
///
/// ```text
///  0       8         40        48
///  ├───────┼─────────┼─────────┤
///  │ magic │ key     │ check   │     check: of the key's BLAKE3
///  └───────┴─────────┴─────────┘
/// ```
pub struct LocalMasterKey(LessSafeKey);

impl LocalMasterKey {
    /// Makes a key at `path`, readable to its owner alone, unless there is one;
    /// then opens it.
    pub async fn create(path: &Path) -> Result<Self, MasterKeyError> {
        let target = path.to_owned();
        blocking(move || {
            let key: [u8; KEY_BYTES] = random::bytes();
            durable::create(&target, &[MAGIC.as_slice(), &key, &check(&key)].concat())
        })
        .await
        .map_err(MasterKeyError::Io)?;
        Self::open(path).await
    }

    /// Copies the key at `from`, once it is found to be one, to where no file is yet,
    /// readable to its owner alone.
    pub async fn copy(from: &Path, to: &Path) -> Result<(), MasterKeyError> {
        Self::open(from).await?;
        let (from, target) = (from.to_owned(), to.to_owned());
        let copied = blocking(move || durable::create(&target, &std::fs::read(from)?)).await;
        match copied.map_err(MasterKeyError::Io)? {
            true => Ok(()),
            false => Err(MasterKeyError::Exists(to.to_owned())),
        }
    }

    /// Opens the key at `path`.
    pub async fn open(path: &Path) -> Result<Self, MasterKeyError> {
        let path = path.to_owned();
        blocking(move || Self::read(path)).await
    }

    fn read(path: PathBuf) -> Result<Self, MasterKeyError> {
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(MasterKeyError::Missing(path));
            }
            read => read.map_err(MasterKeyError::Io)?,
        };
        let mode = std::fs::metadata(&path).map_err(MasterKeyError::Io)?.permissions().mode();
        if mode & OTHERS != 0 {
            return Err(MasterKeyError::Exposed(path));
        }
        let key = bytes.strip_prefix(MAGIC).and_then(|rest| rest.split_first_chunk::<KEY_BYTES>());
        match key {
            Some((key, found)) if found == check(key) => Ok(Self(cipher(key))),
            _ => Err(MasterKeyError::Damaged(path)),
        }
    }
}

#[async_trait]
impl MasterKey for LocalMasterKey {
    async fn seal(&self, context: &str, key: &[u8]) -> Result<Vec<u8>, MasterKeyError> {
        let nonce: [u8; NONCE_LEN] = random::bytes();
        let mut sealed = key.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context),
                &mut sealed,
            )
            .expect("a key is far below what the cipher takes");
        Ok([nonce.as_slice(), &sealed].concat())
    }

    async fn unseal(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, MasterKeyError> {
        let (nonce, sealed) = sealed.split_first_chunk().ok_or(MasterKeyError::Wrong)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let key = self.0.open_in_place(nonce, Aad::from(context), &mut sealed);
        Ok(key.map_err(|_| MasterKeyError::Wrong)?.to_vec())
    }
}

fn check(key: &[u8; KEY_BYTES]) -> [u8; CHECK_BYTES] {
    *blake3::hash(key).as_bytes().first_chunk().expect("a hash is longer")
}

fn cipher(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM_SIV, key).expect("a key of the cipher's length");
    LessSafeKey::new(key)
}
