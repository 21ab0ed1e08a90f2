//! Code packages, made in memory.

use crate::binary;
use anyhow::{Context, Result, ensure};
use std::io::{Cursor, Write};
use tokio::process::Command;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A zip of these files: name, contents.
pub fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let entries: Vec<_> = files.iter().map(|(name, bytes)| (*name, *bytes, 0o755)).collect();
    zip_of_entries(&entries)
}

/// A zip of these entries: name, contents, Unix mode. With the mode of a symbolic
/// link the contents are its target.
pub fn zip_of_entries(entries: &[(&str, &[u8], u32)]) -> Vec<u8> {
    const LINK: u32 = 0o120_000;
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes, mode) in entries {
        let options = SimpleFileOptions::default().unix_permissions(*mode);
        let written = if mode & LINK == LINK {
            zip.add_symlink(*name, String::from_utf8_lossy(bytes), options)
                .map_err(anyhow::Error::from)
        } else {
            zip.start_file(*name, options)
                .map_err(anyhow::Error::from)
                .and_then(|()| Ok(zip.write_all(bytes)?))
        };
        written.expect("a zip in memory can be written");
    }
    zip.finish().expect("a zip in memory can be finished").into_inner()
}

/// A `provided.al2023` package of a Rust example, whose binary is named
/// `bootstrap`: built if need be, and static.
pub async fn provided(example: &str) -> Result<Vec<u8>> {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let crate_dir = binary::workspace().join("examples").join(example);
    // A directory of its own: other flags would rebuild all of the workspace's.
    let target = binary::target_dir().join("examples");
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--target", TARGET])
        .arg("--manifest-path")
        .arg(crate_dir.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .await
        .context("cargo")?;
    ensure!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let program = target.join(TARGET).join("release").join("bootstrap");
    let bytes = std::fs::read(&program).with_context(|| format!("read {}", program.display()))?;
    Ok(zip_of(&[("bootstrap", &bytes)]))
}
