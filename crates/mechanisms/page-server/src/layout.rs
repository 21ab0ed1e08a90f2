//! A page server's directory.
//!
//! ```text
//!  dir/files/     the mount: one file for each clone, named by its id
//!  dir/scratch/   overlays, without names
//! ```

use std::path::{Path, PathBuf};

pub(crate) fn files(dir: &Path) -> PathBuf {
    dir.join("files")
}

pub(crate) fn scratch(dir: &Path) -> PathBuf {
    dir.join("scratch")
}
