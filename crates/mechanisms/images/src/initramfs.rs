//! The initramfs: the agent as `/init`, and the modules.

use crate::cpio::Archive;

/// Mount points that exist before the agent makes any of its own.
const DIRECTORIES: [&str; 3] = ["dev", "proc", "sys"];

/// The archive to boot: one with the agent, followed by the one with the
/// modules; the kernel unpacks both. Uncompressed, because an emulated guest
/// unpacks slower than it reads.
pub(crate) fn build(agent: &[u8], modules: &[u8]) -> Vec<u8> {
    let mut archive = Archive::default();
    for name in DIRECTORIES {
        archive.directory(name);
    }
    archive.file("init", 0o755, agent);
    [archive.finish(), modules.to_vec()].concat()
}
