//! The QEMU that the host has: where it is, whether it is new enough, and every
//! file that it needs to run.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = "qemu-system-x86_64";
/// Version 7.2's emulation corrupts flags after `cmpxchg16b`, so that current
/// kernels crash at boot; 10 is known to be right.
const MAJOR_MIN: u32 = 10;
/// The firmware that loads a kernel into a `microvm`.
pub(super) const FIRMWARE: &str = "qboot.rom";
/// Where distributions put it.
const FIRMWARE_DIRS: [&str; 4] =
    ["/usr/share/qemu", "/usr/local/share/qemu", "/usr/share/seabios", "/usr/share/qemu-kvm"];

/// Why the host's QEMU cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// It is not installed.
    #[error(
        "{PROGRAM} is not on the PATH (Debian: apt install qemu-system-x86, from backports on 12)"
    )]
    Missing,
    /// It is too old.
    #[error(
        "{PROGRAM} is version {found}, and {MAJOR_MIN} or later is needed \
         (Debian 12: apt install -t bookworm-backports qemu-system-x86)"
    )]
    TooOld {
        /// What it said of itself.
        found: String,
    },
    /// Its firmware file is not installed.
    #[error("{FIRMWARE} was not found in {FIRMWARE_DIRS:?} (Debian: apt install qemu-system-data)")]
    NoFirmware,
    /// A program could not be run.
    #[error("{program} could not be run")]
    Run {
        /// Which.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The read-only root for it could not be made.
    #[error("the VMM's root directory could not be made in {}", dir.display())]
    Root {
        /// Where.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A QEMU fit for use.
pub(super) struct Binary {
    /// The program, symbolic links resolved.
    pub(super) program: PathBuf,
    /// "10.0.2", for people.
    pub(super) version: String,
    /// Shared libraries and the loader, as the loader names them.
    pub(super) libraries: Vec<PathBuf>,
    /// [`FIRMWARE`].
    pub(super) firmware: PathBuf,
}

impl Binary {
    pub(super) fn find() -> Result<Self, QemuError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path)
            .map(|dir| dir.join(PROGRAM))
            .find(|candidate| candidate.is_file())
            .and_then(|found| found.canonicalize().ok())
            .ok_or(QemuError::Missing)?;
        let version = version_in(&output(&program, &["--version"])?);
        let major = version.split('.').next().and_then(|major| major.parse().ok());
        if major.is_none_or(|major: u32| major < MAJOR_MIN) {
            return Err(QemuError::TooOld { found: version });
        }
        let firmware = FIRMWARE_DIRS
            .iter()
            .map(|dir| Path::new(dir).join(FIRMWARE))
            .find(|candidate| candidate.is_file())
            .ok_or(QemuError::NoFirmware)?;
        let program_str = program.display().to_string();
        let libraries = libraries_in(&output(Path::new("ldd"), &[&program_str])?);
        Ok(Self { program, version, libraries, firmware })
    }
}

fn output(program: &Path, arguments: &[&str]) -> Result<String, QemuError> {
    let failed = |source| QemuError::Run { program: program.display().to_string(), source };
    let output = Command::new(program).args(arguments).output().map_err(failed)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(failed(io::Error::other(format!("{}: {said}", output.status))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The version in `QEMU emulator version 10.0.2 (Debian …)`.
fn version_in(output: &str) -> String {
    let mut words = output.split_whitespace().skip_while(|word| *word != "version").skip(1);
    words.next().unwrap_or("unknown").to_owned()
}

/// The files in `ldd`'s output: `name => /path (0x…)` and `/loader (0x…)`.
fn libraries_in(output: &str) -> Vec<PathBuf> {
    output
        .lines()
        .filter_map(|line| {
            let file = line.split_once("=> ").map_or(line, |(_, file)| file);
            let file = file.split_whitespace().next()?;
            file.starts_with('/').then(|| file.into())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version() {
        let line = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\n…";
        assert_eq!(version_in(line), "10.0.2");
        assert_eq!(version_in(""), "unknown");
    }

    #[test]
    fn reads_libraries_and_loader() {
        let ldd = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                   \tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f)\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected: Vec<PathBuf> =
            vec!["/lib/x86_64-linux-gnu/libz.so.1".into(), "/lib64/ld-linux-x86-64.so.2".into()];
        assert_eq!(libraries_in(ldd), expected);
    }
}
