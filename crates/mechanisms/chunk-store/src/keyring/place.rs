//! Where sealed keys lie: bytes by name, of which the first writer of a name wins. What is
//! in them is nobody's concern here.

use super::KeyringError;
use super::sealed::SEALED_BYTES_MAX;
use crate::blocking::blocking;
use crate::durable;
use crate::origin::Origin;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::path::Path as ObjectPath;
use std::io;
use std::path::PathBuf;

/// Where they lie in an object store. No collection looks there.
const KEYS: &str = "keys";

/// A place for keys.
pub(super) enum Place {
    /// One server's, `DIR/NAME`.
    Directory(PathBuf),
    /// A cluster's, `keys/NAME`.
    Objects(Origin),
}

impl Place {
    /// Whether other processes make and replace keys there as well.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Objects(_))
    }

    /// What is there under this name.
    pub(super) async fn read(&self, name: &str) -> Result<Option<Bytes>, KeyringError> {
        match self {
            Self::Directory(dir) => {
                let path = dir.join(name);
                match blocking(move || std::fs::read(path)).await {
                    Ok(bytes) => Ok(Some(bytes.into())),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(KeyringError::Io(name.into(), error)),
                }
            }
            Self::Objects(origin) => {
                let read = origin.get(&object(name), SEALED_BYTES_MAX).await;
                read.map_err(|error| KeyringError::Store(name.into(), error))
            }
        }
    }

    /// Keeps bytes under a name that is free; whether it was. If it was not, the bytes may
    /// be there all the same: an answer was lost on the way, and the question asked again.
    pub(super) async fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, KeyringError> {
        match self {
            Self::Directory(dir) => {
                let path = dir.join(name);
                let created = blocking(move || durable::create(&path, &bytes)).await;
                created.map_err(|error| KeyringError::Io(name.into(), error))
            }
            Self::Objects(origin) => {
                let created = origin.create(&object(name), &bytes.into()).await;
                created.map_err(|error| KeyringError::Store(name.into(), error))
            }
        }
    }

    /// Keeps bytes under a name, whatever is there.
    pub(super) async fn replace(&self, name: &str, bytes: Vec<u8>) -> Result<(), KeyringError> {
        match self {
            Self::Directory(dir) => {
                let path = dir.join(name);
                let replaced = blocking(move || durable::replace(&path, &bytes)).await;
                replaced.map_err(|error| KeyringError::Io(name.into(), error))
            }
            Self::Objects(origin) => {
                let replaced = origin.put(&object(name), &bytes.into()).await;
                replaced.map_err(|error| KeyringError::Store(name.into(), error))
            }
        }
    }

    /// The name of some key in an object store; none in a directory, where nobody asks.
    pub(super) async fn any(&self) -> Result<Option<String>, KeyringError> {
        let Self::Objects(origin) = self else { return Ok(None) };
        let failed = |error| KeyringError::Store(KEYS.into(), error);
        let listed = origin.list(KEYS).try_next().await.map_err(failed)?;
        Ok(listed.and_then(|meta| meta.location.filename().map(str::to_owned)))
    }
}

fn object(name: &str) -> ObjectPath {
    ObjectPath::from_iter([KEYS, name])
}
