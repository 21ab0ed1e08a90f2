//! Running `ip` and `nft`, and reading and writing the kernel's switches.

use hearth_programs::{Missing, Program};
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Stdio;

const IP: Program = Program::new("ip", "iproute2");
const NFT: Program = Program::new("nft", "nftables");

/// The host's programs that networks are made with.
pub const PROGRAMS: [Program; 2] = [IP, NFT];

/// Sandboxes cannot be given a network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A program is not installed.
    #[error(transparent)]
    Missing(Missing),
    /// A program refused.
    #[error("{program} failed: {said}")]
    Refused {
        /// Which.
        program: &'static str,
        /// Its words.
        said: String,
    },
    /// The kernel has no tap devices.
    #[error("/dev/net/tun cannot be used ({0}); load the kernel module tun (modprobe tun)")]
    NoTun(io::Error),
    /// A switch of the kernel could not be turned.
    #[error("{} could not be accessed", path.display())]
    Kernel {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A namespace could not be made or entered.
    #[error("a network namespace could not be made")]
    Namespace(#[source] io::Error),
    /// The thread that makes networks is gone.
    #[error("the network thread is gone")]
    Gone,
}

/// Checks that the programs are there.
pub(super) fn check() -> Result<(), NetworkError> {
    run(IP, &["-V"], "")?;
    run(NFT, &["--version"], "")
}

/// Runs a batch of `ip` commands.
pub(super) fn ip(batch: &str) -> Result<(), NetworkError> {
    run(IP, &["-batch", "-"], batch)
}

/// Runs an `nft` script: all of it or nothing.
pub(super) fn nft(script: &str) -> Result<(), NetworkError> {
    run(NFT, &["-f", "-"], script)
}

fn run(program: Program, arguments: &[&str], input: &str) -> Result<(), NetworkError> {
    let refused = |said: String| NetworkError::Refused { program: program.name, said };
    let child = program
        .command()
        .map_err(NetworkError::Missing)?
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| refused(error.to_string()))?;
    // A program that refuses early closes its input; its words tell more.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(|error| refused(error.to_string()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// Reads a file of `/proc/sys` or `/sys`.
pub(super) fn read(path: &str) -> Result<String, NetworkError> {
    fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(|source| NetworkError::Kernel { path: path.into(), source })
}

/// Writes a file of `/proc/sys`.
pub(super) fn write(path: &str, value: &str) -> Result<(), NetworkError> {
    fs::write(path, value).map_err(|source| NetworkError::Kernel { path: path.into(), source })
}
