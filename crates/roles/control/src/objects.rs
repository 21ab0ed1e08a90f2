//! The object store in a local directory.

use object_store::local::LocalFileSystem;
use std::io;
use std::path::Path;

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
