//! The data directory: its layout, and the lock that makes it one server's.
//!
//! ```text
//! D/lock             held while a server runs
//! D/credentials      the default account's key, AWS shared-credentials format
//! D/operator.sock    account management, for this machine's operator
//! D/meta.redb        functions, versions, accounts, keys
//! D/objects/         code packages, the images made of them, and snapshots, unless
//!                    --objects says elsewhere
//! D/chunks/          cached chunks, where objects come over a network
//! D/keyring/         keys that chunks are sealed with
//! D/control/         work space of control; emptied at start
//! D/worker/          sandboxes' disks and cached images; emptied at start
//! D/vmm/             what the VM driver must clean up after a crash
//! D/pages/           the mount of the page server; made anew at start
//! D/logs/            functions' logs
//! ```

use anyhow::{Context, bail};
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// How long a server that was killed may seem to have it still: a child that it was just
/// starting has its files open until it notices.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(3);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// An open data directory. Dropping it lets another server have it.
pub(crate) struct DataDir {
    root: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be, closes it to other users, and locks it.
    pub(crate) fn open(root: &Path) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)
            .with_context(|| format!("cannot make the data directory {}", root.display()))?;
        let root = root
            .canonicalize()
            .with_context(|| format!("cannot use the data directory {}", root.display()))?;
        // One that somebody else made may be open to others.
        std::fs::set_permissions(&root, Permissions::from_mode(0o700))
            .with_context(|| format!("cannot close {} to other users", root.display()))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(root.join("lock"))
            .with_context(|| format!("cannot write to the data directory {}", root.display()))?;
        match locked(&lock) {
            Ok(()) => Ok(Self { root, _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "another `hearth up` is using the data directory {}: stop it, or choose another \
                 with --data-dir",
                root.display()
            ),
            Err(TryLockError::Error(e)) => {
                Err(e).with_context(|| format!("cannot lock {}", root.display()))
            }
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
    pub(crate) fn credentials(&self) -> PathBuf {
        self.root.join("credentials")
    }
    pub(crate) fn metastore(&self) -> PathBuf {
        self.root.join("meta.redb")
    }
    pub(crate) fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }
    pub(crate) fn chunks(&self) -> PathBuf {
        self.root.join("chunks")
    }
    pub(crate) fn keyring(&self) -> PathBuf {
        self.root.join("keyring")
    }
    pub(crate) fn pages(&self) -> PathBuf {
        self.root.join("pages")
    }
    pub(crate) fn control(&self) -> PathBuf {
        self.root.join("control")
    }
    pub(crate) fn worker(&self) -> PathBuf {
        self.root.join("worker")
    }
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }
}

/// Waits a moment for whoever has it.
fn locked(lock: &File) -> Result<(), TryLockError> {
    let began = Instant::now();
    loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_WAIT_MAX => {
                std::thread::sleep(LOCK_PAUSE);
            }
            locked => return locked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_private_and_one_servers_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("a/b");
        std::fs::create_dir_all(&root).unwrap();
        let first = DataDir::open(&root).unwrap();
        assert_eq!(std::fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
        let error = DataDir::open(&root).err().unwrap().to_string();
        assert!(error.contains("another `hearth up`"), "{error}");
        // One that is just ending is waited for.
        let ending = std::thread::spawn(move || {
            std::thread::sleep(LOCK_WAIT_MAX / 10);
            drop(first);
        });
        DataDir::open(&root).unwrap();
        ending.join().unwrap();
    }
}
