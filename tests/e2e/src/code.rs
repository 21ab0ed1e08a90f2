//! Code packages, made in memory.

use crate::binary;
use anyhow::{Context, Result};
use std::io::{Cursor, Write};
use std::path::Path;
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

/// The Rust example as a `provided.al2023` package, once xtask has built it.
pub fn rust_example() -> Result<Vec<u8>> {
    let program = binary::target_dir().join("examples/hello-rust-provided/bootstrap");
    let bytes = std::fs::read(&program)
        .with_context(|| format!("no {}: cargo xtask example-rust", program.display()))?;
    Ok(zip_of(&[("bootstrap", &bytes)]))
}

/// A `java21` package that xtask has built: `hello-java` or `uniqueness-java`.
pub fn java_function(name: &str) -> Result<Vec<u8>> {
    let directory = binary::target_dir().join("examples").join(name);
    let mut files = Vec::new();
    collect(&directory, "", &mut files)
        .with_context(|| format!("no {}: cargo xtask example-java", directory.display()))?;
    let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    Ok(zip_of(&files))
}

/// All files below `directory`, each under its path from there.
fn collect(directory: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.push((name, std::fs::read(entry.path())?));
        }
    }
    Ok(())
}
