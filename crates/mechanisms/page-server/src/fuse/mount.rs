//! Mounting, and taking down what a dead server has left.

use super::filesystem::CloneFiles;
use super::{REQUEST_BYTES_MAX, THREADS};
use crate::CloneId;
use crate::files::Files;
use fuser::{BackgroundSession, Config, INodeNo, Notifier, Session, SessionACL};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::{CString, OsStr};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;

/// Mounts upon each other that are taken down: one for each server that died.
const MOUNTS_MAX: usize = 64;

/// A mounted file system that is being served.
pub(crate) struct Mounted {
    notifier: Notifier,
    // Its threads end with the process: as long as a VMM has a file open they
    // are needed, mounted or not.
    _session: BackgroundSession,
}

impl Mounted {
    /// Mounts on the directory `at` and serves. Blocks.
    pub(crate) fn new(at: &Path, files: Arc<Files>) -> io::Result<Self> {
        // Close-on-exec: who else held it would keep the mount of a dead server
        // alive, and its readers waiting.
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
        // The directory above it lets only root in. A VMM that gets one file from
        // there runs as a user of its own: `allow_other`, and the kernel checks
        // each file's owner and mode.
        let options = CString::new(format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,\
             max_read={REQUEST_BYTES_MAX}",
            device.as_raw_fd()
        ))?;
        let flags =
            MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
        mount("hearth-pages", at, "fuse", flags, options.as_c_str())?;
        let mut config = Config::default();
        config.acl = SessionACL::All;
        config.n_threads = Some(THREADS);
        let session = Session::from_fd(CloneFiles::new(files), device.into(), config.acl, config)?;
        let notifier = session.notifier();
        Ok(Self { notifier, _session: session.spawn()? })
    }

    /// Has the kernel forget a file's name, and with the last who has it open,
    /// its pages: it would keep them until memory is short. Blocks.
    pub(crate) fn forget(notifier: &Notifier, id: CloneId) -> io::Result<()> {
        notifier.inval_entry(INodeNo::ROOT, OsStr::new(&id.0.to_string()))
    }

    pub(crate) fn notifier(&self) -> Notifier {
        self.notifier.clone()
    }
}

/// Takes down whatever is mounted on the directory `at`, in use or not.
pub(crate) fn detach(at: &Path) -> io::Result<()> {
    for _ in 0..MOUNTS_MAX {
        match unmount(at, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            // Nothing is mounted there, or there is nothing.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other(format!("more than {MOUNTS_MAX} file systems are mounted there")))
}
