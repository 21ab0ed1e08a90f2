//! The directory that a jailed QEMU sees as `/`: its own program, libraries and
//! firmware, and empty files for the kernel and initramfs to be mounted on.
//!
//! Made once, named by what it was made from, and shared read-only by all VMMs.

use super::binary::{Binary, FIRMWARE, QemuError};
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The program, inside.
pub(super) const PROGRAM: &str = "/qemu";
/// Directory of the firmware, inside.
pub(super) const FIRMWARE_DIR: &str = "/firmware";
/// Where the kernel is mounted, inside.
pub(super) const KERNEL: &str = "/kernel";
/// Where the initramfs is mounted, inside.
pub(super) const INITRAMFS: &str = "/initramfs";
/// Where the guest's memory is mounted, inside, if it is in a file.
pub(super) const MEMORY: &str = "/memory";
/// Changes whenever the layout above does.
const LAYOUT: &str = "2";
/// Characters of the name, of a 256-bit digest: a collision would need one
/// host to see 2³² different QEMUs.
const NAME_CHARS: usize = 16;

/// Makes the root for this QEMU under `dir`, unless it is there already, and
/// removes those of other QEMUs.
pub(super) fn prepare(binary: &Binary, dir: &Path) -> Result<PathBuf, QemuError> {
    prepare_in(binary, dir).map_err(|source| QemuError::Root { dir: dir.to_owned(), source })
}

fn prepare_in(binary: &Binary, dir: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let name = name(binary)?;
    let root = dir.join(&name);
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if *entry.file_name() != *name {
            fs::remove_dir_all(entry.path())?;
        }
    }
    if root.is_dir() {
        return Ok(root);
    }
    // Made under another name, so that a half-made one is never used.
    let making = dir.join(format!("{name}.making"));
    copy(&binary.program, &inside(&making, Path::new(PROGRAM)), 0o755)?;
    for library in &binary.libraries {
        copy(library, &inside(&making, library), 0o755)?;
    }
    copy(&binary.firmware, &inside(&making, Path::new(FIRMWARE_DIR)).join(FIRMWARE), 0o644)?;
    for placeholder in [KERNEL, INITRAMFS, MEMORY] {
        fs::write(inside(&making, Path::new(placeholder)), b"")?;
    }
    fs::set_permissions(&making, fs::Permissions::from_mode(0o755))?;
    fs::rename(&making, &root)?;
    Ok(root)
}

/// Names a root by the identity of the files that it is made from.
fn name(binary: &Binary) -> io::Result<String> {
    let mut hash = Sha256::new();
    hash.update(LAYOUT);
    for file in binary.libraries.iter().chain([&binary.program, &binary.firmware]) {
        let meta = fs::metadata(file)?;
        let identity = (meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec());
        hash.update(format!("{} {identity:?}\n", file.display()));
    }
    Ok(hex::encode(hash.finalize())[..NAME_CHARS].to_owned())
}

/// The host's path of a file inside.
pub(super) fn inside(root: &Path, file: &Path) -> PathBuf {
    root.join(file.strip_prefix("/").unwrap_or(file))
}

fn copy(from: &Path, to: &Path, mode: u32) -> io::Result<()> {
    let parent = to.parent().unwrap_or(to);
    fs::create_dir_all(parent)?;
    // The umask of whoever starts Hearth must not shut the VMM's uid out.
    for dir in parent.ancestors().take_while(|dir| dir.file_name().is_some()) {
        let mode = fs::metadata(dir)?.permissions().mode();
        if dir.join(PROGRAM.trim_start_matches('/')).exists() || mode & 0o055 == 0o055 {
            break;
        }
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    }
    fs::copy(from, to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))
}
