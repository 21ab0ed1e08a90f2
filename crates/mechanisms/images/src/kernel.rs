//! The guest's kernel and its modules, out of Debian's cloud kernel package.

use crate::cpio::Archive;
use crate::modules::{self, ModulesError, WANTED};
use crate::packages::{Package, Packages, PackagesError};
use crate::progress::Progress;
use crate::vmlinux::{self, VmlinuxError};
use std::fs;
use std::path::{Path, PathBuf};

/// Depends on the newest cloud kernel of the release.
const METAPACKAGE: &str = "linux-image-cloud-amd64";
const IMAGE_PREFIX: &str = "linux-image-";

/// Why there is no kernel.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Its package.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// The package does not hold what a kernel package holds.
    #[error("cannot read {path} of the kernel package")]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Its image.
    #[error(transparent)]
    Vmlinux(#[from] VmlinuxError),
    /// Its modules.
    #[error(transparent)]
    Modules(#[from] ModulesError),
}

/// A kernel for guests.
pub(crate) struct Kernel {
    /// The ELF image.
    pub(crate) vmlinux: Vec<u8>,
    /// A cpio archive of `/modules`.
    pub(crate) modules: Vec<u8>,
    /// Where it is from.
    pub(crate) package: Package,
}

/// Fetches the kernel and takes out what a guest needs; `scratch` is an empty
/// directory.
pub(crate) fn build(
    packages: &Packages,
    scratch: &Path,
    progress: &dyn Progress,
) -> Result<Kernel, KernelError> {
    progress.advance(0.0, "fetching the package");
    let resolved = packages.resolve(&[METAPACKAGE])?;
    let is_image = |p: &&Package| p.name.starts_with(IMAGE_PREFIX) && p.name != METAPACKAGE;
    let package = resolved.iter().find(is_image);
    let package = package.ok_or_else(|| PackagesError::Missing(METAPACKAGE.into()))?.clone();
    packages.unpack(std::slice::from_ref(&package), scratch)?;

    progress.advance(0.7, "taking out kernel and modules");
    let release = package.name.trim_start_matches(IMAGE_PREFIX).trim_end_matches("-unsigned");
    let vmlinuz = scratch.join("boot").join(format!("vmlinuz-{release}"));
    let read = fs::read(&vmlinuz);
    let vmlinuz = read.map_err(|source| KernelError::Read { path: vmlinuz, source })?;
    // Releases before trixie had `/lib` where it now has `/usr/lib`.
    let mut directories = ["usr/lib/modules", "lib/modules"].iter().map(|d| scratch.join(d));
    let directory = directories.find(|d| d.is_dir()).unwrap_or_else(|| scratch.join("lib/modules"));
    Ok(Kernel {
        vmlinux: vmlinux::extract(&vmlinuz)?,
        modules: archive(&modules::gather(&directory, &WANTED)?),
        package,
    })
}

/// `/modules/NAME.ko`, and `/modules/order`: the file names, one a line, in the
/// order in which they must be loaded.
fn archive(modules: &[modules::Module]) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.directory("modules");
    let mut order = String::new();
    for module in modules {
        let name = format!("{}.ko", module.name);
        archive.file(&format!("modules/{name}"), 0o644, &module.elf);
        order += &format!("{name}\n");
    }
    archive.file("modules/order", 0o644, order.as_bytes());
    archive.finish()
}
