//! The cache of guest images: what is there, and whether it is sound.

use crate::build::{self, BuildError, BuildOptions};
use crate::digest::Digest;
use crate::index::Index;
use crate::keys::{self, INITRAMFS, KERNEL, OS_LAYER};
use crate::scratch::{ScratchDisks, ScratchError};
use crate::store::{Store, Stored};
use hearth_types::Runtime;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Images by role within a step.
pub(crate) const VMLINUX: &str = "vmlinux";
pub(crate) const MODULES: &str = "modules";
pub(crate) const IMAGE: &str = "image";

/// One image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The file. Never written to again.
    pub path: PathBuf,
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

/// Everything a guest is started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestImages {
    /// The kernel, an ELF file with a PVH entry.
    pub kernel: Image,
    /// Agent and modules, cpio.
    pub initramfs: Image,
    /// The lowest layer, EROFS.
    pub os_layer: Image,
    /// The layer over it, EROFS, for each runtime that was built.
    pub runtime_layers: BTreeMap<Runtime, Image>,
}

/// Why images could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// They were never built here.
    #[error("the guest images are not built ({0} is missing): run `hearth images build`")]
    NotBuilt(String),
    /// They were built by another version of the program.
    #[error("the guest images are out of date ({0}): run `hearth images build`")]
    Stale(String),
    /// The cache cannot be read.
    #[error("cannot read the image cache {path}")]
    Io {
        /// The cache.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A cache directory.
pub struct ImageCache {
    pub(crate) directory: PathBuf,
    pub(crate) store: Store,
    scratch: ScratchDisks,
}

impl ImageCache {
    /// Uses `directory`, which is made when it is not there.
    pub fn open(directory: impl AsRef<Path>) -> io::Result<Self> {
        // Tools are run in directories of their own.
        let directory = std::path::absolute(directory.as_ref())?;
        fs::create_dir_all(&directory)?;
        let store = Store::new(&directory);
        Ok(Self { directory, store, scratch: ScratchDisks::default() })
    }

    /// The images built last. Looks at names and sizes, not at content. A
    /// runtime whose layer does not fit the OS layer is left out.
    pub fn load(&self) -> Result<GuestImages, LoadError> {
        let index = self.index()?;
        for (step, key) in [(KERNEL, keys::kernel()), (OS_LAYER, keys::os_layer())] {
            if index.steps.get(step).is_some_and(|made| made.key != key) {
                return Err(LoadError::Stale(step.to_owned()));
            }
        }
        let image = |step: &str, role: &str| {
            let made = index.steps.get(step);
            let stored = made.and_then(|m| m.images.get(role)).filter(|s| self.store.has(s));
            let stored = stored.ok_or_else(|| LoadError::NotBuilt(step.to_owned()))?;
            Ok(self.image(stored))
        };
        let os_layer = image(OS_LAYER, IMAGE)?;
        let mut runtime_layers = BTreeMap::new();
        for runtime in Runtime::ALL {
            let key = keys::runtime_layer(runtime, &os_layer.digest);
            if index.steps.get(runtime.as_str()).is_some_and(|made| made.key == key) {
                runtime_layers.insert(runtime, image(runtime.as_str(), IMAGE)?);
            }
        }
        Ok(GuestImages {
            kernel: image(KERNEL, VMLINUX)?,
            initramfs: image(INITRAMFS, IMAGE)?,
            os_layer,
            runtime_layers,
        })
    }

    /// Reads every image that a build made last and names those whose content
    /// is not what was stored.
    pub fn verify(&self) -> Result<Vec<PathBuf>, LoadError> {
        let mut damaged = Vec::new();
        for stored in self.index()?.stored() {
            let sound = self.store.verify(stored);
            if !sound.map_err(|source| self.unreadable(source))? {
                damaged.push(self.store.path(stored));
            }
        }
        Ok(damaged)
    }

    /// Builds what is missing or out of date, and nothing else: when all is
    /// there, this neither uses the network nor takes noticeable time. Waits
    /// for another build in the same cache to end first. Blocks; takes minutes
    /// the first time.
    pub fn build(&self, options: &BuildOptions<'_>) -> Result<GuestImages, BuildError> {
        build::run(self, options)
    }

    /// Makes a scratch disk of `bytes` at `path`: an empty ext4 in a sparse file,
    /// its root mode 1777. The first of a size takes tens of milliseconds, the
    /// others less than one.
    pub fn create_scratch(&self, path: &Path, bytes: u64) -> Result<(), ScratchError> {
        self.scratch.create(path, bytes)
    }

    pub(crate) fn image(&self, stored: &Stored) -> Image {
        Image { path: self.store.path(stored), digest: stored.digest.clone(), bytes: stored.bytes }
    }

    fn index(&self) -> Result<Index, LoadError> {
        Index::read(&self.directory).map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: io::Error) -> LoadError {
        LoadError::Io { path: self.directory.clone(), source }
    }
}
