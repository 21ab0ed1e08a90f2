//! The host's programs that Hearth runs: where each is found, and the Debian
//! package that brings it.
//!
//! Most of them run as root, so none is taken from where another user could
//! have put it: see [`Program::find`].
#![forbid(unsafe_code)]

pub mod qemu;
mod search;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its file name.
    pub name: &'static str,
    /// The Debian package that brings it.
    pub package: &'static str,
}

impl Program {
    /// Names a program.
    pub const fn new(name: &'static str, package: &'static str) -> Self {
        Self { name, package }
    }

    /// Where it is: the first of its name on the `PATH`, then in the system's
    /// own directories (an unprivileged `PATH` has no `sbin`). Passed over are
    /// relative directories, and what anybody but root and the user we run as
    /// owns or everybody may write: the file, its directory, or one above it.
    pub fn find(self) -> Result<PathBuf, Missing> {
        search::find(self, search::directories())
    }

    /// A command that runs it. Whatever it runs in turn is found by the same
    /// rules.
    #[allow(clippy::disallowed_methods, reason = "this is the other way")]
    pub fn command(self) -> Result<Command, Missing> {
        let mut command = Command::new(self.find()?);
        command.env("PATH", search::trusted_path());
        Ok(command)
    }
}

/// Whether a program that an operator named by its absolute path is there, and nobody but
/// root and the user we run as could have altered it.
pub fn is_trusted(program: &Path) -> bool {
    search::is_trusted(program)
}

/// The directories in which programs are looked for, as a `PATH` for those that look for
/// more.
pub fn trusted_path() -> OsString {
    search::trusted_path()
}

/// A program is not installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Which.
    pub program: Program,
    /// One that was found but not trusted.
    pub passed_over: Option<PathBuf>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Program { name, package } = self.program;
        write!(f, "{name} is not installed (Debian: apt-get install {package})")?;
        match &self.passed_over {
            Some(path) => {
                write!(f, "; {} was passed over, because others could alter it", path.display())
            }
            None => Ok(()),
        }
    }
}

impl std::error::Error for Missing {}
