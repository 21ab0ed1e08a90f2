//! Writes `newc` cpio archives, the kernel's initramfs format, byte for byte the
//! same from the same entries: no times, no owners, inode numbers in order.
//!
//! ```text
//!  ┌────────┬──────────────────┬──────────┬─────┬──────────┬─────┐
//!  │"070701"│ 13 × 8 hex digits│ name, \0 │ pad │ contents │ pad │  pads to 4 bytes
//!  └────────┴──────────────────┴──────────┴─────┴──────────┴─────┘
//! ```
//! Archives may follow one another: the kernel unpacks them in turn.

const ALIGN_BYTES: usize = 4;
const MODE_DIRECTORY: u32 = 0o040_000;
const MODE_FILE: u32 = 0o100_000;
const TRAILER: &str = "TRAILER!!!";

/// An archive in the making.
#[derive(Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    /// Adds a directory.
    pub(crate) fn directory(&mut self, name: &str) -> &mut Self {
        self.entry(name, MODE_DIRECTORY | 0o755, &[])
    }

    /// Adds a regular file with the given permissions.
    pub(crate) fn file(&mut self, name: &str, permissions: u32, contents: &[u8]) -> &mut Self {
        self.entry(name, MODE_FILE | permissions, contents)
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.inode = 0;
        self.entry(TRAILER, 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, contents: &[u8]) -> &mut Self {
        let links = if mode & MODE_DIRECTORY != 0 { 2 } else { 1 };
        let fields = [
            self.inode,
            mode,
            0, // uid
            0, // gid
            links,
            0, // mtime
            contents.len() as u32,
            0, // device major
            0, // device minor
            0, // special file's major
            0, // special file's minor
            name.len() as u32 + 1,
            0, // checksum, unused
        ];
        self.inode += 1;
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(contents);
        self.pad();
        self
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN_BYTES), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_laid_out_as_newc() {
        let mut archive = Archive::default();
        archive.directory("d").file("d/f", 0o755, b"hello");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % ALIGN_BYTES, 0);
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.matches("070701").count(), 3);
        // Header of the file: inode 1, mode 0100755, size 5, name of 4 bytes.
        assert!(text.contains("07070100000001000081ed"), "{text}");
        let name_at = text.find("d/f\0").unwrap();
        assert_eq!(&bytes[(name_at + 4).next_multiple_of(4)..][..5], b"hello");
    }
}
