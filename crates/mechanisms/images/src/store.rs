//! Files by content under `images/`: written aside, synced and renamed, so that
//! a name either is absent or holds all of its bytes.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Names one stored image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// SHA-256 of the content, and the name.
    pub(crate) digest: Digest,
    /// What kind of file it is.
    pub(crate) suffix: String,
    /// Its size.
    pub(crate) bytes: u64,
}

/// Where images lie.
pub(crate) struct Store {
    directory: PathBuf,
}

impl Store {
    pub(crate) fn new(cache: &Path) -> Self {
        Self { directory: cache.join("images") }
    }

    /// Where `stored` is.
    pub(crate) fn path(&self, stored: &Stored) -> PathBuf {
        self.directory.join(format!("{}.{}", stored.digest, stored.suffix))
    }

    /// Whether it is there, with the size it should have.
    pub(crate) fn has(&self, stored: &Stored) -> bool {
        fs::metadata(self.path(stored)).is_ok_and(|m| m.is_file() && m.len() == stored.bytes)
    }

    /// Whether its bytes are the ones that were stored.
    pub(crate) fn verify(&self, stored: &Stored) -> io::Result<bool> {
        Ok(Digest::of_reader(File::open(self.path(stored))?)? == stored.digest)
    }

    /// Stores bytes.
    pub(crate) fn put(&self, bytes: &[u8], suffix: &str) -> io::Result<Stored> {
        fs::create_dir_all(&self.directory)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        io::Write::write_all(&mut file, bytes)?;
        self.adopt(file, suffix)
    }

    /// Stores what `fill` writes into the new file that it is given.
    pub(crate) fn put_with<E: From<io::Error>>(
        &self,
        suffix: &str,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Stored, E> {
        fs::create_dir_all(&self.directory)?;
        let file = tempfile::NamedTempFile::new_in(&self.directory)?;
        fill(file.path())?;
        Ok(self.adopt(file, suffix)?)
    }

    fn adopt(&self, file: tempfile::NamedTempFile, suffix: &str) -> io::Result<Stored> {
        // By its name, not by its handle: a tool may have made the file anew.
        let written = File::open(file.path())?;
        let digest = Digest::of_reader(&written)?;
        let stored = Stored { digest, suffix: suffix.into(), bytes: written.metadata()?.len() };
        written.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o444))?;
        written.sync_all()?;
        file.persist(self.path(&stored)).map_err(|e| e.error)?;
        File::open(&self.directory)?.sync_all()?;
        Ok(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_names_the_file_and_damage_shows() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let stored = store.put(b"image", "bin").unwrap();
        assert_eq!(fs::read(store.path(&stored)).unwrap(), b"image");
        assert!(store.has(&stored) && store.verify(&stored).unwrap());
        let path = store.path(&stored);
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"imagf").unwrap();
        assert!(store.has(&stored) && !store.verify(&stored).unwrap());
        fs::write(&path, b"im").unwrap();
        assert!(!store.has(&stored));
        // Nothing but the image is left behind.
        assert_eq!(fs::read_dir(dir.path().join("images")).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_fill_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let failed = store.put_with("bin", |_| Err(io::Error::other("no")));
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(dir.path().join("images")).unwrap().count(), 0);
    }
}
