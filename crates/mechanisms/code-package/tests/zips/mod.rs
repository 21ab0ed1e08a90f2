//! Zips for tests.
#![allow(dead_code)] // each test binary uses its own part

use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// One entry, however illegal.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) content: Vec<u8>,
    /// Type and permission bits; 0 for an archive without Unix modes.
    pub(crate) mode: u32,
}

impl Entry {
    pub(crate) fn file(path: &str, content: impl AsRef<[u8]>) -> Self {
        Self { path: path.to_owned(), content: content.as_ref().to_vec(), mode: 0o100644 }
    }
    pub(crate) fn directory(path: &str) -> Self {
        Self { path: path.to_owned(), content: Vec::new(), mode: 0o040755 }
    }
    pub(crate) fn link(path: &str, target: &str) -> Self {
        Self { path: path.to_owned(), content: target.as_bytes().to_vec(), mode: 0o120777 }
    }
    pub(crate) fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }
}

/// A zip of `entries`, deflated.
pub(crate) fn zip(entries: &[Entry]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for entry in entries {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        writer.start_file(entry.path.as_str(), options).unwrap();
        writer.write_all(&entry.content).unwrap();
    }
    let mut bytes = writer.finish().unwrap().into_inner();
    set_modes(&mut bytes, entries);
    bytes
}

/// The writer refuses odd modes, so they are patched into the central headers.
fn set_modes(bytes: &mut [u8], entries: &[Entry]) {
    let end = bytes.len() - 22;
    let field = |bytes: &[u8], at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]) as usize;
    let mut at = u32::from_le_bytes(bytes[end + 16..end + 20].try_into().unwrap()) as usize;
    if at == u32::MAX as usize {
        panic!("zip64 is not expected here");
    }
    for entry in entries {
        assert_eq!(bytes[at..at + 4], *b"PK\x01\x02");
        bytes[at + 5] = 3; // made on Unix
        bytes[at + 38..at + 42].copy_from_slice(&(entry.mode << 16).to_le_bytes());
        at += 46 + field(bytes, at + 28) + field(bytes, at + 30) + field(bytes, at + 32);
    }
}
