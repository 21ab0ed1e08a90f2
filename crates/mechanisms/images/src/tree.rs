//! A directory tree on its way to becoming a layer: the shape all layers
//! share, and the normalising that makes equal content equal bytes.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Where packages still name these, they mean the directory under `usr`.
const USR_LINKS: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// A tree could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot prepare {path}")]
pub struct TreeError {
    path: PathBuf,
    source: io::Error,
}

/// A tree under construction.
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Begins a tree in the empty directory `root`.
    pub(crate) fn begin(root: PathBuf) -> Result<Self, TreeError> {
        let tree = Self { root };
        for name in USR_LINKS {
            tree.directory(&format!("usr/{name}"))?;
            tree.link(name, &format!("usr/{name}"))?;
        }
        Ok(tree)
    }

    /// The host's path of the root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The host's path of something in the tree.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Makes a directory and those above it.
    pub(crate) fn directory(&self, name: &str) -> Result<(), TreeError> {
        let path = self.path(name);
        fs::create_dir_all(&path).map_err(|source| TreeError { path, source })
    }

    /// Writes a file, in place of what was there.
    pub(crate) fn file(&self, name: &str, contents: &[u8]) -> Result<(), TreeError> {
        self.remove(name)?;
        self.parent(name)?;
        let path = self.path(name);
        fs::write(&path, contents).map_err(|source| TreeError { path, source })
    }

    /// Writes a program.
    pub(crate) fn program(&self, name: &str, contents: &[u8]) -> Result<(), TreeError> {
        self.file(name, contents)?;
        let path = self.path(name);
        fs::set_permissions(&path, Permissions::from_mode(0o755))
            .map_err(|source| TreeError { path, source })
    }

    /// Makes a symbolic link, in place of what was there.
    pub(crate) fn link(&self, name: &str, target: &str) -> Result<(), TreeError> {
        self.remove(name)?;
        self.parent(name)?;
        let path = self.path(name);
        symlink(target, &path).map_err(|source| TreeError { path, source })
    }

    /// Removes a file or directory, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), TreeError> {
        let path = self.path(name);
        let removed = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        };
        removed.map_err(|source| TreeError { path, source })
    }

    /// Gives every file one of two modes and every directory one: no setuid
    /// programs, nothing only root can read, no trace of the builder's umask.
    /// Empty directories go when `prune` is set.
    pub(crate) fn normalise(&self, prune: bool) -> Result<(), TreeError> {
        normalise(&self.root, prune)?;
        let path = self.root.clone();
        fs::set_permissions(&path, Permissions::from_mode(0o755))
            .map_err(|source| TreeError { path, source })
    }

    fn parent(&self, name: &str) -> Result<(), TreeError> {
        match name.rsplit_once('/') {
            Some((parent, _)) => self.directory(parent),
            None => Ok(()),
        }
    }
}

/// Normalises what is in `directory`; whether anything is left there.
fn normalise(directory: &Path, prune: bool) -> Result<bool, TreeError> {
    let fail = |source| TreeError { path: directory.to_owned(), source };
    let mut any = false;
    for entry in fs::read_dir(directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let path = entry.path();
        let fail = |source| TreeError { path: path.clone(), source };
        let metadata = entry.metadata().map_err(fail)?;
        if metadata.is_dir() {
            if !normalise(&path, prune)? && prune {
                fs::remove_dir(&path).map_err(fail)?;
                continue;
            }
            fs::set_permissions(&path, Permissions::from_mode(0o755)).map_err(fail)?;
        } else if metadata.is_file() {
            let executable = metadata.permissions().mode() & 0o111 != 0;
            let mode = if executable { 0o755 } else { 0o644 };
            fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(fail)?;
        } else if !metadata.is_symlink() {
            return Err(fail(io::Error::other("neither file, directory nor link")));
        }
        any = true;
    }
    Ok(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_normalised_and_empty_directories_pruned() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::begin(dir.path().to_owned()).unwrap();
        tree.program("usr/bin/su", b"x").unwrap();
        fs::set_permissions(tree.path("usr/bin/su"), Permissions::from_mode(0o4711)).unwrap();
        tree.file("etc/shadow", b"").unwrap();
        fs::set_permissions(tree.path("etc/shadow"), Permissions::from_mode(0o600)).unwrap();
        tree.directory("a/b/c").unwrap();
        tree.normalise(true).unwrap();
        let mode = |n: &str| fs::metadata(tree.path(n)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("usr/bin/su"), 0o755);
        assert_eq!(mode("bin/su"), 0o755);
        assert_eq!(mode("etc/shadow"), 0o644);
        assert!(!tree.path("a").exists());
    }

    #[test]
    fn replacing_a_link_does_not_write_through_it() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::begin(dir.path().to_owned()).unwrap();
        tree.file("target", b"kept").unwrap();
        tree.link("link", "target").unwrap();
        tree.file("link", b"new").unwrap();
        assert_eq!(fs::read(tree.path("target")).unwrap(), b"kept");
    }
}
