//! Writes entries into a zip whose bytes depend on names, contents and
//! executable bits alone: fixed times, fixed modes, one order.

use super::walk::{Entries, Entry};
use anyhow::Context;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

const MODE_PLAIN: u32 = 0o644;
const MODE_EXECUTABLE: u32 = 0o755;

/// The zip of these entries.
pub(super) fn zip(entries: &Entries) -> anyhow::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        // 1980-01-01, the earliest that a zip can say.
        .last_modified_time(DateTime::default());
    for (name, entry) in entries {
        match entry {
            Entry::Directory => {
                zip.add_directory(name.as_str(), options.unix_permissions(MODE_EXECUTABLE))?;
            }
            Entry::File { path, executable } => {
                let mode = if *executable { MODE_EXECUTABLE } else { MODE_PLAIN };
                let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
                zip.start_file(name.as_str(), options.unix_permissions(mode))?;
                zip.write_all(&bytes)?;
            }
        }
    }
    Ok(zip.finish()?.into_inner())
}
