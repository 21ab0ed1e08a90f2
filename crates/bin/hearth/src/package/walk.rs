//! Lists what of a directory belongs into a package, in one fixed order.

use anyhow::Context;
use hearth_types::CODE_UNZIPPED_BYTES_MAX;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Most entries in a package: what a zip can number without extensions.
const ENTRIES_MAX: usize = 65_535;
/// Deepest nesting of directories.
const DEPTH_MAX: usize = 64;
/// Left behind by tools, different from machine to machine, and of no use to a
/// function.
const LEFT_OUT: [&str; 3] = [".git", "__pycache__", ".DS_Store"];

/// An entry of the package.
#[derive(Debug)]
pub(super) enum Entry {
    /// A directory.
    Directory,
    /// A regular file, or what a link inside the directory leads to.
    File { path: PathBuf, executable: bool },
}

/// Entries by their `/`-separated name. A map, because its order is the zip's.
pub(super) type Entries = BTreeMap<String, Entry>;

/// Walks the directory, refusing what cannot be packed.
pub(super) fn files(root: &Path) -> anyhow::Result<Entries> {
    let root = root.canonicalize().with_context(|| root.display().to_string())?;
    let mut walk = Walk { root: &root, entries: Entries::new(), bytes: 0 };
    walk.directory(&root, "", 0)?;
    anyhow::ensure!(!walk.entries.is_empty(), "{} is empty", root.display());
    Ok(walk.entries)
}

struct Walk<'a> {
    root: &'a Path,
    entries: Entries,
    bytes: u64,
}

impl Walk<'_> {
    fn directory(&mut self, path: &Path, prefix: &str, depth: usize) -> anyhow::Result<()> {
        anyhow::ensure!(depth <= DEPTH_MAX, "{} is nested too deeply", path.display());
        let listing = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
        for child in listing {
            let child = child.with_context(|| path.display().to_string())?;
            let name = child.file_name();
            let name = name.to_str().with_context(|| {
                format!("{} has a name that is not UTF-8", child.path().display())
            })?;
            if !LEFT_OUT.contains(&name) {
                self.child(&child.path(), format!("{prefix}{name}"), depth)?;
            }
        }
        Ok(())
    }

    fn child(&mut self, path: &Path, name: String, depth: usize) -> anyhow::Result<()> {
        let context = || path.display().to_string();
        let is_link = std::fs::symlink_metadata(path).with_context(context)?.is_symlink();
        let meta = std::fs::metadata(path).with_context(context)?;
        if is_link {
            // A link is packed as what it leads to, as `zip -r` does; but what
            // lies outside the directory was never meant to be uploaded, and
            // a linked directory may lead back to itself.
            let target = path.canonicalize().with_context(context)?;
            let inside = target.starts_with(self.root);
            anyhow::ensure!(inside, "{} is a link to outside the directory", path.display());
            anyhow::ensure!(meta.is_file(), "{} is a link to a directory", path.display());
        }
        if meta.is_dir() {
            self.add(format!("{name}/"), Entry::Directory)?;
            self.directory(path, &format!("{name}/"), depth + 1)
        } else {
            anyhow::ensure!(meta.is_file(), "{} is not a regular file", path.display());
            self.bytes += meta.len();
            anyhow::ensure!(
                self.bytes <= CODE_UNZIPPED_BYTES_MAX,
                "the directory holds more than {CODE_UNZIPPED_BYTES_MAX} bytes"
            );
            let mode = std::os::unix::fs::PermissionsExt::mode(&meta.permissions());
            let executable = mode & 0o100 != 0;
            self.add(name, Entry::File { path: path.to_owned(), executable })
        }
    }

    fn add(&mut self, name: String, entry: Entry) -> anyhow::Result<()> {
        self.entries.insert(name, entry);
        let count = self.entries.len();
        anyhow::ensure!(count <= ENTRIES_MAX, "the directory holds more than {ENTRIES_MAX} files");
        Ok(())
    }
}
