//! The QEMU that the host has: where it is, whether it is new enough, and every
//! file that it needs to run.

use hearth_programs::qemu::{MAJOR_MIN, QEMU, version_in, will_do};
use hearth_programs::{Missing, Program};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

const LDD: Program = Program::new("ldd", "libc-bin");
/// The firmware that loads a kernel into a `microvm`.
pub(super) const FIRMWARE: &str = "qboot.rom";
/// Where distributions put it.
const FIRMWARE_DIRS: [&str; 4] =
    ["/usr/share/qemu", "/usr/local/share/qemu", "/usr/share/seabios", "/usr/share/qemu-kvm"];

/// Why the host's QEMU cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// It, or a program that tells about it, is not installed.
    #[error("{0}; Debian 12 has a QEMU that is new enough in its backports")]
    Missing(#[from] Missing),
    /// It is too old.
    #[error(
        "QEMU is version {found}, and {MAJOR_MIN} or later is needed \
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
        let said = output(QEMU.command()?.arg("--version"))?;
        let version = version_in(&said).unwrap_or("unknown").to_owned();
        if !will_do(&version) {
            return Err(QemuError::TooOld { found: version });
        }
        let firmware = FIRMWARE_DIRS
            .iter()
            .map(|dir| Path::new(dir).join(FIRMWARE))
            .find(|candidate| candidate.is_file())
            .ok_or(QemuError::NoFirmware)?;
        let found = QEMU.find()?;
        let program = found
            .canonicalize()
            .map_err(|source| QemuError::Run { program: found.display().to_string(), source })?;
        let libraries = libraries_in(&output(LDD.command()?.arg(&program))?);
        Ok(Self { program, version, libraries, firmware })
    }
}

fn output(command: &mut Command) -> Result<String, QemuError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |source| QemuError::Run { program, source };
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return Err(failed(error)),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(failed(io::Error::other(format!("{}: {said}", output.status))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
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
    fn reads_libraries_and_loader() {
        let ldd = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                   \tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f)\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected: Vec<PathBuf> =
            vec!["/lib/x86_64-linux-gnu/libz.so.1".into(), "/lib64/ld-linux-x86-64.so.2".into()];
        assert_eq!(libraries_in(ldd), expected);
    }
}
