//! A file system that is soon full.

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A tmpfs of a few megabytes; unmounted on drop.
pub struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// Mounts one.
    pub fn mount(mib: u32) -> Result<Self> {
        let dir = TempDir::with_prefix("hearth-e2e-disk-")?;
        let size = CString::new(format!("size={mib}m"))?;
        mount("e2e", dir.path(), "tmpfs", MountFlags::empty(), size.as_c_str()).context("mount")?;
        Ok(Self { dir })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Fills it to the last byte; removing the file that is returned makes room.
    pub fn fill(&self) -> Result<PathBuf> {
        let ballast = self.path().join("ballast");
        let mut file = File::create(&ballast)?;
        for chunk in [1 << 20, 4096, 1] {
            let zeros = vec![0; chunk];
            loop {
                match file.write_all(&zeros) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("fill the disk"),
                }
            }
        }
        Ok(ballast)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = unmount(self.dir.path(), UnmountFlags::DETACH) {
            eprintln!("unmount {}: {error}", self.dir.path().display());
        }
    }
}
