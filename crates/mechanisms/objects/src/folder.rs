//! Objects in a folder.

use crate::error::OpenError;
use object_store::local::LocalFileSystem;
use std::io;
use std::path::Path;

/// A store in `dir`, made if missing, for this process alone. An object that was put
/// survives a crash of the machine: files and directories are synced. What a crash left
/// of uploads is removed.
pub(crate) fn open(dir: &Path) -> Result<LocalFileSystem, OpenError> {
    std::fs::create_dir_all(dir).map_err(OpenError::Directory)?;
    remove_half_uploads(dir).map_err(OpenError::Directory)?;
    plain(dir)
}

/// The same of a directory that another process may be writing to.
pub(crate) fn plain(dir: &Path) -> Result<LocalFileSystem, OpenError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_left_of_uploads_goes_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("objects");
        std::fs::create_dir_all(root.join("a")).unwrap();
        for name in ["a/b#1", "a/b", "c#x", "d#12"] {
            std::fs::write(root.join(name), "bytes").unwrap();
        }
        plain(&root).unwrap();
        assert!(root.join("d#12").exists(), "a reader touches nothing");
        open(&root).unwrap();
        let kept = ["a/b#1", "a/b", "c#x", "d#12"].map(|name| root.join(name).exists());
        assert_eq!(kept, [false, true, true, false]);
    }
}
