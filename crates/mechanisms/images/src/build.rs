//! One build: step by step, each skipped when something was made by its recipe
//! key before and is still there.
//!
//! ```text
//!   kernel ──► modules ──┐
//!   os ──► runtimes…     ├──► initramfs
//!               agent ───┘
//! ```

use crate::cache::{GuestImages, IMAGE, ImageCache, MODULES, VMLINUX};
use crate::digest::Digest;
use crate::index::{Index, Made};
use crate::kernel::{self, KernelError};
use crate::keys::{self, INITRAMFS, KERNEL, OS_LAYER};
use crate::layers::{self, LayerError};
use crate::packages::{Package, Packages, versions};
use crate::progress::Progress;
use crate::store::Stored;
use crate::tools;
use crate::tree::Tree;
use crate::{erofs, initramfs};
use hearth_programs::Missing;
use hearth_types::Runtime;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Steps besides the runtimes.
const STEPS_FIXED: usize = 3;
/// Directories within the cache that hold nothing between builds.
const WORK: &str = "work";
const PACKAGES: &str = "packages";

/// Why images could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The host lacks programs that building needs.
    #[error("{}", tools::advice(.0))]
    Tools(Vec<Missing>),
    /// The agent cannot be read.
    #[error("cannot read the agent {path}")]
    Agent {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel.
    #[error("the guest kernel could not be made")]
    Kernel(#[from] KernelError),
    /// A layer.
    #[error("the {name} layer could not be made")]
    Layer {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: Box<LayerError>,
    },
    /// The cache cannot be used.
    #[error("cannot use the image cache {path}")]
    Cache {
        /// The cache.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What to build.
pub struct BuildOptions<'a> {
    /// The agent, a static executable: pid 1 of every guest.
    pub agent: &'a Path,
    /// The runtimes that functions may use.
    pub runtimes: &'a [Runtime],
    /// Build again also what is there already: new package versions get in.
    pub refresh: bool,
    /// Told what goes on.
    pub progress: &'a dyn Progress,
}

struct Build<'a> {
    cache: &'a ImageCache,
    index: Index,
    packages: Packages,
    options: &'a BuildOptions<'a>,
    steps_begun: usize,
}

/// What [`ImageCache::build`] does.
pub(crate) fn run(
    cache: &ImageCache,
    options: &BuildOptions<'_>,
) -> Result<GuestImages, BuildError> {
    let fail = |source| BuildError::Cache { path: cache.directory.clone(), source };
    // Held until `lock` is dropped, or the process dies.
    let lock = File::create(cache.directory.join("lock")).map_err(fail)?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|e| fail(e.into()))?;
    // What a build that was killed has left.
    remove(&cache.directory.join(WORK)).map_err(fail)?;
    let mut build = Build {
        cache,
        index: Index::read(&cache.directory).map_err(fail)?,
        packages: Packages::new(cache.directory.join(PACKAGES)),
        options,
        steps_begun: 0,
    };
    let images = build.all()?;
    remove(&cache.directory.join(PACKAGES)).map_err(fail)?;
    remove(&cache.directory.join(WORK)).map_err(fail)?;
    build.index.prune(|made| cache.used(made));
    build.index.write(&cache.directory).map_err(fail)?;
    cache.store.sweep(build.index.stored()).map_err(fail)?;
    options.progress.finish();
    Ok(images)
}

impl Build<'_> {
    fn all(&mut self) -> Result<GuestImages, BuildError> {
        let kernel = self.kernel()?;
        let progress = self.options.progress;
        let os_layer = self.layer(OS_LAYER, keys::os_layer(), |packages, tree, _| {
            layers::os::build(packages, tree, progress)
        })?;
        let mut runtime_layers = BTreeMap::new();
        for &runtime in self.options.runtimes {
            let key = keys::runtime_layer(runtime, &os_layer.digest);
            let none = |()| Vec::new();
            let layer =
                self.layer(runtime.as_str(), key, |packages, tree, tools| match runtime {
                    Runtime::Python313 => layers::python::build(packages, tree, tools, progress),
                    Runtime::NodeJs22 => {
                        layers::node::build(packages, tree, tools, progress).map(none)
                    }
                    Runtime::Java21 => layers::java::build(packages, tree, tools, progress),
                    Runtime::ProvidedAl2023 => layers::provided::build(tree).map(none),
                })?;
            runtime_layers.insert(runtime, self.cache.image(&layer));
        }
        let initramfs = self.initramfs(&kernel.images[MODULES])?;
        Ok(GuestImages {
            kernel: self.cache.image(&kernel.images[VMLINUX]),
            initramfs: self.cache.image(&initramfs),
            os_layer: self.cache.image(&os_layer),
            runtime_layers,
        })
    }

    fn kernel(&mut self) -> Result<Made, BuildError> {
        let key = keys::kernel();
        if let Some(made) = self.begin(KERNEL, &key)? {
            return Ok(made);
        }
        let scratch = self.scratch()?;
        let kernel = kernel::build(&self.packages, scratch.path(), self.options.progress)?;
        let images = [(VMLINUX, kernel.vmlinux, "vmlinux"), (MODULES, kernel.modules, "cpio")];
        let mut stored = BTreeMap::new();
        for (role, bytes, suffix) in images {
            stored.insert(role.to_owned(), self.put(&bytes, suffix)?);
        }
        self.record(KERNEL, key, stored, &[kernel.package])
    }

    fn layer(
        &mut self,
        name: &str,
        key: Digest,
        make: impl FnOnce(&Packages, &Tree, &Tree) -> Result<Vec<Package>, LayerError>,
    ) -> Result<Stored, BuildError> {
        if let Some(made) = self.begin(name, &key)? {
            return Ok(made.images[IMAGE].clone());
        }
        let scratch = self.scratch()?;
        let packed = scratch.path().join("image.erofs");
        let made = (|| {
            let tree = Tree::begin(scratch.path().join("tree"))?;
            let tools = Tree::begin(scratch.path().join("tools"))?;
            let packages = make(&self.packages, &tree, &tools)?;
            self.options.progress.advance(0.9, "packing");
            erofs::pack(tree.root(), &packed)?;
            Ok(packages)
        })();
        let packages = made.map_err(|source: LayerError| BuildError::Layer {
            name: name.to_owned(),
            source: Box::new(source),
        })?;
        let stored = self.cache.store.adopt(&packed, "erofs").map_err(|e| self.unusable(e))?;
        self.record(name, key, [(IMAGE.to_owned(), stored.clone())].into(), &packages)?;
        Ok(stored)
    }

    fn initramfs(&mut self, modules: &Stored) -> Result<Stored, BuildError> {
        let path = self.options.agent;
        let agent =
            fs::read(path).map_err(|source| BuildError::Agent { path: path.to_owned(), source })?;
        let key = keys::initramfs(&modules.digest, &agent);
        if let Some(made) = self.begin(INITRAMFS, &key)? {
            return Ok(made.images[IMAGE].clone());
        }
        let archive = fs::read(self.cache.store.path(modules)).map_err(|e| self.unusable(e))?;
        let stored = self.put(&initramfs::build(&agent, &archive), "cpio")?;
        let images = [(IMAGE.to_owned(), stored.clone()), (MODULES.to_owned(), modules.clone())];
        self.record(INITRAMFS, key, images.into(), &[])?;
        Ok(stored)
    }

    /// Begins a step: what it made before, when that is still good.
    fn begin(&mut self, name: &str, key: &Digest) -> Result<Option<Made>, BuildError> {
        self.steps_begun += 1;
        let steps_total = self.options.runtimes.len() + STEPS_FIXED;
        self.options.progress.step(self.steps_begun, steps_total, name);
        let made = self.index.made.get(key).filter(|made| self.cache.has(made));
        if let Some(made) = made.filter(|_| !self.options.refresh || name == INITRAMFS) {
            self.cache.touch(made);
            return Ok(Some(made.clone()));
        }
        let missing = tools::missing();
        if missing.is_empty() { Ok(None) } else { Err(BuildError::Tools(missing)) }
    }

    /// Records what a step made, so that a build that is stopped later goes on
    /// from there.
    fn record(
        &mut self,
        name: &str,
        key: Digest,
        images: BTreeMap<String, Stored>,
        packages: &[Package],
    ) -> Result<Made, BuildError> {
        let packages: BTreeSet<String> = versions(packages);
        let made = Made { step: name.to_owned(), images, packages };
        self.index.made.insert(key, made.clone());
        self.index.write(&self.cache.directory).map_err(|e| self.unusable(e))?;
        Ok(made)
    }

    fn put(&self, bytes: &[u8], suffix: &str) -> Result<Stored, BuildError> {
        self.cache.store.put(bytes, suffix).map_err(|e| self.unusable(e))
    }

    fn scratch(&self) -> Result<tempfile::TempDir, BuildError> {
        let work = self.cache.directory.join(WORK);
        fs::create_dir_all(&work)
            .and_then(|()| tempfile::tempdir_in(work))
            .map_err(|e| self.unusable(e))
    }

    fn unusable(&self, source: io::Error) -> BuildError {
        BuildError::Cache { path: self.cache.directory.clone(), source }
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
