//! The cache of guest images: what is there, and whether it is sound.

use crate::build::{self, BuildError, BuildOptions};
use crate::digest::Digest;
use crate::index::{Index, Made};
use crate::keys::{self, INITRAMFS, KERNEL, OS_LAYER};
use crate::scratch::{ScratchDisks, ScratchError};
use crate::store::{Store, Stored};
use hearth_types::Runtime;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

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

/// Keeps images from being removed as long as it lives.
#[derive(Debug)]
pub struct HeldImages {
    _files: Vec<fs::File>,
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

    /// This program's images, and of the initramfs the one used last. Looks at
    /// names and sizes, not at content. A runtime without a layer that fits the
    /// OS layer is left out.
    pub fn load(&self) -> Result<GuestImages, LoadError> {
        self.select(&self.index()?, None).map(|(images, _)| images)
    }

    /// The same to start guests from. If the program has an `agent` of its own,
    /// with its initramfs and no other: other programs, with agents of their own,
    /// may use this cache too. What is held stays, whatever is built meanwhile.
    pub fn load_for(&self, agent: Option<&Path>) -> Result<(GuestImages, HeldImages), LoadError> {
        let read = |path: &Path| {
            let unreadable = |source| LoadError::Io { path: path.to_owned(), source };
            fs::read(path).map_err(unreadable)
        };
        let agent = agent.map(read).transpose()?;
        let index = self.index()?;
        let (images, used) = self.select(&index, agent.as_deref())?;
        let hold = |stored| self.store.hold(stored).map_err(|source| self.unreadable(source));
        let held = used.iter().flat_map(|made| made.images.values()).map(hold);
        let held = HeldImages { _files: held.collect::<Result<_, _>>()? };
        used.into_iter().for_each(|made| self.touch(made));
        Ok((images, held))
    }

    /// Images that go together, and the steps that made them.
    fn select<'i>(
        &self,
        index: &'i Index,
        agent: Option<&[u8]>,
    ) -> Result<(GuestImages, Vec<&'i Made>), LoadError> {
        let made = |step: &str, key: Digest| match index.made.get(&key) {
            Some(made) if self.has(made) => Ok(made),
            None if index.of_step(step).next().is_some() => Err(LoadError::Stale(step.to_owned())),
            _ => Err(LoadError::NotBuilt(step.to_owned())),
        };
        let stored = |made: &'i Made, role: &str| {
            made.images.get(role).ok_or_else(|| LoadError::NotBuilt(made.step.clone()))
        };
        let kernel = made(KERNEL, keys::kernel())?;
        let modules = stored(kernel, MODULES)?;
        let os = made(OS_LAYER, keys::os_layer())?;
        let os_layer = stored(os, IMAGE)?;

        let initramfs = match agent {
            Some(agent) => made(INITRAMFS, keys::initramfs(&modules.digest, agent))?,
            None => {
                let fits = |made: &&Made| made.images.get(MODULES) == Some(modules);
                let fitting = index.of_step(INITRAMFS).filter(fits).filter(|made| self.has(made));
                let used_last = fitting.max_by_key(|made| self.used(made));
                used_last.ok_or_else(|| LoadError::NotBuilt(INITRAMFS.to_owned()))?
            }
        };

        let mut used = vec![kernel, os, initramfs];
        let mut runtime_layers = BTreeMap::new();
        for runtime in Runtime::ALL {
            let key = keys::runtime_layer(runtime, &os_layer.digest);
            if let Some(made) = index.made.get(&key).filter(|made| self.has(made)) {
                runtime_layers.insert(runtime, self.image(stored(made, IMAGE)?));
                used.push(made);
            }
        }
        let images = GuestImages {
            kernel: self.image(stored(kernel, VMLINUX)?),
            initramfs: self.image(stored(initramfs, IMAGE)?),
            os_layer: self.image(os_layer),
            runtime_layers,
        };
        Ok((images, used))
    }

    /// Whether all that a step made is there.
    pub(crate) fn has(&self, made: &Made) -> bool {
        made.images.values().all(|stored| self.store.has(stored))
    }

    /// Notes that it is in use.
    pub(crate) fn touch(&self, made: &Made) {
        made.images.values().for_each(|stored| self.store.touch(stored));
    }

    /// When it was used last.
    pub(crate) fn used(&self, made: &Made) -> SystemTime {
        // The oldest: several initramfs name the same modules.
        made.images.values().map(|stored| self.store.used(stored)).min().unwrap_or(UNIX_EPOCH)
    }

    /// Reads every image that the index names and tells those whose content
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

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_ambient::clock;
    use std::time::Duration;

    /// As a build would leave it, without building: each image is its own text.
    fn record(
        cache: &ImageCache,
        index: &mut Index,
        step: &str,
        key: Digest,
        roles: &[(&str, &str)],
    ) {
        let store = |(role, text): &(&str, &str)| {
            (role.to_string(), cache.store.put(text.as_bytes(), "bin").unwrap())
        };
        let images = roles.iter().map(store).collect();
        index.made.insert(key, Made { step: step.into(), images, packages: Default::default() });
    }

    #[test]
    fn programs_with_agents_of_their_own_share_a_cache() {
        let dir = tempfile::tempdir().unwrap();
        let cache = ImageCache::open(dir.path()).unwrap();
        let mut index = Index::default();
        record(&cache, &mut index, KERNEL, keys::kernel(), &[(VMLINUX, "k"), (MODULES, "m")]);
        record(&cache, &mut index, OS_LAYER, keys::os_layer(), &[(IMAGE, "os")]);
        let modules = index.made[&keys::kernel()].images[MODULES].digest.clone();
        let agents = ["one", "two"].map(|agent| dir.path().join(agent));
        for agent in &agents {
            let text = agent.file_name().unwrap().to_str().unwrap();
            fs::write(agent, text).unwrap();
            let key = keys::initramfs(&modules, text.as_bytes());
            record(&cache, &mut index, INITRAMFS, key, &[(IMAGE, text), (MODULES, "m")]);
        }
        // Of another program, with other recipes.
        let key = crate::digest::Digester::new("other").finish();
        record(&cache, &mut index, OS_LAYER, key, &[(IMAGE, "other os")]);
        index.write(dir.path()).unwrap();

        let content = |image: &Image| fs::read_to_string(&image.path).unwrap();
        for (at, agent) in [(1, &agents[0]), (2, &agents[1]), (3, &agents[0])] {
            clock::set(Duration::from_secs(at));
            let (images, _held) = cache.load_for(Some(agent)).unwrap();
            assert_eq!(content(&images.initramfs), agent.file_name().unwrap().to_str().unwrap());
            assert_eq!(content(&images.os_layer), "os");
        }
        assert_eq!(content(&cache.load().unwrap().initramfs), "one", "the one used last");
        // Another's agent would lack what this program mended in its own.
        fs::write(&agents[1], "three").unwrap();
        assert!(matches!(cache.load_for(Some(&agents[1])), Err(LoadError::Stale(_))));
    }
}
