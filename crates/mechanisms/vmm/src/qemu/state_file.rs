//! A file in memory that the state of a guest's devices passes through. Each side
//! opens it anew, so that neither moves the other's place in it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};

/// Largest state that is taken from a VMM; a typical one has 70 KB.
pub(super) const STATE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The file.
pub(super) struct StateFile(OwnedFd);

impl StateFile {
    pub(super) fn create() -> io::Result<Self> {
        Ok(Self(rustix::fs::memfd_create("state", rustix::fs::MemfdFlags::CLOEXEC)?))
    }

    /// For a VMM that is to read it.
    pub(super) fn reader(&self) -> io::Result<File> {
        OpenOptions::new().read(true).open(self.path())
    }

    /// For a VMM that is to write it.
    pub(super) fn writer(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.path())
    }

    /// Puts a state in.
    pub(super) fn fill(&self, state: &[u8]) -> io::Result<()> {
        self.writer()?.write_all(state)
    }

    /// Takes out what a VMM has put in.
    pub(super) fn contents(&self) -> io::Result<Vec<u8>> {
        let mut state = Vec::new();
        let read = self.reader()?.take(STATE_BYTES_MAX).read_to_end(&mut state)?;
        match read as u64 {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            STATE_BYTES_MAX => Err(io::ErrorKind::FileTooLarge.into()),
            _ => Ok(state),
        }
    }

    fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_writes_the_other_reads_from_the_start() {
        let file = StateFile::create().unwrap();
        assert_eq!(file.contents().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let mut reader = file.reader().unwrap();
        file.fill(b"state").unwrap();
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!((read.as_str(), file.contents().unwrap().as_slice()), ("state", &b"state"[..]));
    }
}
