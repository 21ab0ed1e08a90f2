//! The object store in a local directory, and how code objects are named.

use hearth_types::AccountId;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use std::io;
use std::path::Path;

/// Prefix of all code objects.
pub(crate) const CODE: &str = "code";
const ZIP: &str = "zip";
const IMAGE: &str = "erofs";

/// An object store in `dir`, made if missing, for this process alone. An object
/// that was put survives a crash of the machine: files and directories are
/// synced. What a crash left of uploads is removed.
pub fn open_local(dir: &Path) -> Result<LocalFileSystem, OpenError> {
    std::fs::create_dir_all(dir).map_err(OpenError::Directory)?;
    remove_half_uploads(dir).map_err(OpenError::Directory)?;
    let store = LocalFileSystem::new_with_prefix(dir).map_err(OpenError::Store)?;
    Ok(store.with_fsync(true).with_automatic_cleanup(true))
}

/// The store writes an object as `NAME#NUMBER` until it is whole. It lists no
/// such file and would keep it for ever.
fn remove_half_uploads(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|n| n.rsplit_once('#')).map(|(_, number)| number);
        if entry.file_type()?.is_dir() {
            remove_half_uploads(&entry.path())?;
        } else if number.is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Why the local object store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its directory could not be made or cleared.
    #[error("cannot prepare the object store's directory")]
    Directory(#[source] std::io::Error),
    /// The directory cannot be used.
    #[error("cannot open the object store")]
    Store(#[source] object_store::Error),
}

/// Keys of the two objects of one package, named by the hash of the zip and
/// walled by account: nobody can learn what others have uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CodeKeys {
    pub(crate) zip: ObjectPath,
    pub(crate) image: ObjectPath,
}

impl CodeKeys {
    pub(crate) fn new(account: &AccountId, zip_sha256: &[u8]) -> Self {
        Self::of_stem(&format!("{}/{}", Self::of_account(account), hex::encode(zip_sha256)))
    }

    /// Prefix of all packages of an account.
    pub(crate) fn of_account(account: &AccountId) -> ObjectPath {
        ObjectPath::from(format!("{CODE}/{account}"))
    }

    /// The package that `object` is of; none if it is named like no package's.
    pub(crate) fn of_object(object: &ObjectPath) -> Option<Self> {
        let (stem, extension) = object.as_ref().rsplit_once('.')?;
        [ZIP, IMAGE].contains(&extension).then(|| Self::of_stem(stem))
    }

    fn of_stem(stem: &str) -> Self {
        let key = |extension| ObjectPath::from(format!("{stem}.{extension}"));
        Self { zip: key(ZIP), image: key(IMAGE) }
    }
}
