//! The object store in a local directory, and how code objects are named.

use hearth_types::AccountId;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use std::path::Path;

/// Prefix of all code objects.
pub(crate) const CODE: &str = "code";

/// An object store in `dir`, made if missing. An object that was put survives
/// a crash of the machine: files and directories are synced.
pub fn open_local(dir: &Path) -> Result<LocalFileSystem, OpenError> {
    std::fs::create_dir_all(dir).map_err(OpenError::Directory)?;
    let store = LocalFileSystem::new_with_prefix(dir).map_err(OpenError::Store)?;
    Ok(store.with_fsync(true).with_automatic_cleanup(true))
}

/// Why the local object store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its directory could not be made.
    #[error("cannot make the object store's directory")]
    Directory(#[source] std::io::Error),
    /// The directory cannot be used.
    #[error("cannot open the object store")]
    Store(#[source] object_store::Error),
}

/// Keys of the two objects of one package, named by the hash of the zip and
/// walled by account: nobody can learn what others have uploaded.
#[derive(Clone, Debug)]
pub(crate) struct CodeKeys {
    pub(crate) zip: ObjectPath,
    pub(crate) image: ObjectPath,
}

impl CodeKeys {
    pub(crate) fn new(account: &AccountId, zip_sha256: &[u8]) -> Self {
        let stem = format!("{CODE}/{account}/{}", hex::encode(zip_sha256));
        let key = |extension| ObjectPath::from(format!("{stem}.{extension}"));
        Self { zip: key("zip"), image: key("erofs") }
    }
}
