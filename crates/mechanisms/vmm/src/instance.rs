//! One Hearth on a host that may run several: its name, its directory, and its
//! share of numbers (uids, addresses, interface names).

use crate::traces::Traces;
use rustix::fs::FlockOperation;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Blocks of numbers on a host, hence Hearths at once.
const BLOCKS: u32 = 127;
/// Slots in a block: the most that one Hearth can have.
pub(crate) const BLOCK_SLOTS: u32 = 512;
/// Characters of an instance's id.
const ID_CHARS: usize = 8;

/// Why this process cannot be an instance.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// The directory could not be used.
    #[error("{} could not be used", path.display())]
    Dir {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process uses it.
    #[error("{} is in use by another hearth process", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// No numbers are left.
    #[error("{BLOCKS} hearth processes run on this host already")]
    NoBlock,
    /// What it will leave on the host could not be written down.
    #[error("/run/hearth could not be used")]
    Traces(#[source] io::Error),
    /// A number could not be claimed.
    #[error("a block of numbers could not be claimed")]
    Block(#[source] io::Error),
}

/// This process as an instance. Its directory is locked and its block claimed
/// until it is dropped, or the process ends in whatever way.
pub(crate) struct Instance {
    dir: PathBuf,
    traces: Traces,
    block: u32,
    _lock: File,
    _claim: OwnedFd,
}

impl Instance {
    pub(crate) fn claim(state_dir: &Path) -> Result<Self, InstanceError> {
        let dir = state_dir.join("vmm");
        let failed = |source| InstanceError::Dir { path: dir.clone(), source };
        fs::create_dir_all(&dir).map_err(failed)?;
        let dir = dir.canonicalize().map_err(failed)?;
        let lock = File::create(dir.join("lock")).map_err(failed)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(InstanceError::InUse { path: dir }),
            other => other.map_err(|e| failed(e.into()))?,
        }
        let digest = Sha256::digest(dir.as_os_str().as_bytes());
        let id = &hex::encode(digest)[..ID_CHARS];
        let data = dir.parent().unwrap_or(&dir);
        let traces = Traces::claim(id, data).map_err(InstanceError::Traces)?;
        let (block, claim) = claim_block(u32::from(digest[0]) % BLOCKS)?;
        Ok(Self { dir, traces, block, _lock: lock, _claim: claim })
    }

    /// Names what is ours on the host. The same at every start on one data
    /// directory, so that a start finds what a crash left.
    pub(crate) fn id(&self) -> &str {
        self.traces.id()
    }

    /// What it leaves on the host.
    pub(crate) fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Where the driver keeps its files.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Which block of numbers is ours; may differ from start to start.
    pub(crate) fn block(&self) -> u32 {
        self.block
    }

    /// Instances in this network namespace, ours included.
    pub(crate) fn alive() -> io::Result<usize> {
        let sockets = fs::read_to_string("/proc/thread-self/net/unix")?;
        Ok(sockets.lines().filter(|line| line.contains(" @hearth-block-")).count())
    }
}

/// Claims a block by binding an abstract socket of its name: such names belong
/// to the network namespace, as addresses and interfaces do, and vanish with
/// the process.
fn claim_block(first: u32) -> Result<(u32, OwnedFd), InstanceError> {
    let failed = |e: rustix::io::Errno| InstanceError::Block(e.into());
    for block in (0..BLOCKS).map(|n| (first + n) % BLOCKS) {
        let name = format!("hearth-block-{block}");
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).map_err(failed)?;
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::DGRAM,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )
        .map_err(failed)?;
        match rustix::net::bind(&socket, &address) {
            Ok(()) => return Ok((block, socket)),
            Err(rustix::io::Errno::ADDRINUSE) => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Err(InstanceError::NoBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_claimed_once_and_blocks_differ() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = Instance::claim(a.path()).unwrap();
        assert!(matches!(Instance::claim(a.path()), Err(InstanceError::InUse { .. })));
        let second = Instance::claim(b.path()).unwrap();
        assert_ne!(first.block(), second.block());
        assert_ne!(first.id(), second.id());
        assert!(Instance::alive().unwrap() >= 2);

        let id = first.id().to_owned();
        drop(first);
        let again = Instance::claim(a.path()).unwrap();
        assert_eq!(again.id(), id);
        for instance in [again, second] {
            instance.traces().forget().unwrap();
        }
    }
}
