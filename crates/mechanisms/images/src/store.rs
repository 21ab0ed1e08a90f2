//! Files by content under `images/`: written aside, synced and renamed, so that
//! a name either is absent or holds all of its bytes.

use crate::digest::Digest;
use hearth_ambient::clock;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a file that the index names no more is kept since it was used last.
/// One that a server may boot from is held by it, and kept however long.
const UNUSED_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

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
        // Once renamed, it is no temporary file to remove.
        let path = file.into_temp_path();
        let stored = self.adopt(&path, suffix)?;
        path.keep().map_err(|e| e.error).map(|_| stored)
    }

    /// Stores a file of the same file system by moving it here.
    pub(crate) fn adopt(&self, path: &Path, suffix: &str) -> io::Result<Stored> {
        fs::create_dir_all(&self.directory)?;
        let file = File::open(path)?;
        let digest = Digest::of_reader(&file)?;
        let stored = Stored { digest, suffix: suffix.into(), bytes: file.metadata()?.len() };
        file.set_permissions(Permissions::from_mode(0o444))?;
        file.sync_all()?;
        fs::rename(path, self.path(&stored))?;
        File::open(&self.directory)?.sync_all()?;
        Ok(stored)
    }

    /// Notes that `stored` is used now: the time of a file that never changes is
    /// free to say so.
    pub(crate) fn touch(&self, stored: &Stored) {
        let file = File::open(self.path(stored));
        // Another user's file, or a read-only one, can be used without a note.
        drop(file.and_then(|file| file.set_modified(UNIX_EPOCH + clock::unix_now())));
    }

    /// Keeps `stored` from being swept for as long as the file is open.
    pub(crate) fn hold(&self, stored: &Stored) -> io::Result<File> {
        let file = File::open(self.path(stored))?;
        flock(&file, FlockOperation::LockShared)?;
        // Swept between the two.
        if file.metadata()?.nlink() == 0 { Err(io::ErrorKind::NotFound.into()) } else { Ok(file) }
    }

    /// When `stored` was made or used last.
    pub(crate) fn used(&self, stored: &Stored) -> SystemTime {
        fs::metadata(self.path(stored)).and_then(|m| m.modified()).unwrap_or(UNIX_EPOCH)
    }

    /// Removes what is not `named` and was used long ago.
    pub(crate) fn sweep<'a>(&self, named: impl Iterator<Item = &'a Stored>) -> io::Result<()> {
        let named: BTreeSet<PathBuf> = named.map(|stored| self.path(stored)).collect();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let used = entry.metadata()?.modified()?;
            let age = (UNIX_EPOCH + clock::unix_now()).duration_since(used).unwrap_or_default();
            if age <= UNUSED_KEPT || named.contains(&entry.path()) {
                continue;
            }
            let file = File::open(entry.path())?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        (dir, store)
    }

    #[test]
    fn content_names_the_file_and_damage_shows() {
        let (dir, store) = store();
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
    fn sweeping_spares_what_is_used_and_what_is_new() {
        let (_dir, store) = store();
        let [used, old, new, held] =
            ["used", "old", "new", "held"].map(|b| store.put(b.as_bytes(), "bin").unwrap());
        for stored in [&used, &old, &held] {
            let long_ago = std::time::SystemTime::now() - 2 * UNUSED_KEPT;
            File::open(store.path(stored)).unwrap().set_modified(long_ago).unwrap();
        }
        let server = store.hold(&held).unwrap();
        store.sweep([&used].into_iter()).unwrap();
        assert!(store.has(&used) && store.has(&new) && store.has(&held) && !store.has(&old));
        drop(server);
        store.sweep([&used].into_iter()).unwrap();
        assert!(!store.has(&held));
    }
}
