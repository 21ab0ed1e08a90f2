//! Finds the program under test.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// `HEARTH_BIN`, else the workspace's release build, else its dev build.
pub fn hearth() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("HEARTH_BIN") {
        return Ok(path.into());
    }
    let target = target_dir();
    ["release", "debug"]
        .into_iter()
        .map(|profile| target.join(profile).join("hearth"))
        .find(|path| path.is_file())
        .with_context(|| {
            format!("no hearth binary under {}: cargo build --release -p hearth", target.display())
        })
}

/// `HEARTH_IMAGE_CACHE`, else where `hearth up` itself looks.
pub(crate) fn image_cache() -> Option<PathBuf> {
    std::env::var_os("HEARTH_IMAGE_CACHE").map(PathBuf::from)
}

/// The workspace's root.
pub(crate) fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().and_then(Path::parent).unwrap_or(here)
}

/// Where cargo builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), |dir| workspace().join(dir))
}
