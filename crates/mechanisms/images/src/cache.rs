//! The cache of guest images: loading what is there, building what is not.

use crate::digest::{Digest, Digester};
use crate::index::{Index, Made};
use crate::kernel::{self, KernelError};
use crate::layers::{self, LayerError};
use crate::packages::{Package, Packages, versions};
use crate::progress::Progress;
use crate::recipe::{self, Recipe};
use crate::scratch::{ScratchDisks, ScratchError};
use crate::store::{Store, Stored};
use crate::tools::{self, Tool};
use crate::tree::{Tree, TreeError};
use crate::{erofs, initramfs};
use hearth_types::Runtime;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Raised whenever the code that makes images changes what it makes, so that
/// caches are rebuilt.
const BUILDER_VERSION: u32 = 1;

const KERNEL: &str = "kernel";
const INITRAMFS: &str = "initramfs";
const OS: &str = "os";
/// Images by role within a step.
const VMLINUX: &str = "vmlinux";
const MODULES: &str = "modules";
const IMAGE: &str = "image";

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

/// Why images could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The host lacks programs that building needs.
    #[error("{}", tools::advice(.0))]
    Tools(Vec<Tool>),
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
    /// The cache cannot be written.
    #[error("cannot write to the image cache")]
    Io(#[from] io::Error),
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

/// A cache directory.
pub struct ImageCache {
    directory: PathBuf,
    store: Store,
    scratch: ScratchDisks,
}

impl ImageCache {
    /// Uses `directory`, which is made when it is not there.
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        fs::create_dir_all(&directory)?;
        let store = Store::new(&directory);
        Ok(Self { directory, store, scratch: ScratchDisks::default() })
    }

    /// The images built last. Looks at names and sizes, not at content.
    pub fn load(&self) -> Result<GuestImages, LoadError> {
        let index = self.index()?;
        let image = |step: &str, role: &str| {
            let made = index.steps.get(step);
            let stored = made.and_then(|m| m.images.get(role)).filter(|s| self.store.has(s));
            let stored = stored.ok_or_else(|| LoadError::NotBuilt(step.to_owned()))?;
            Ok(self.image(stored))
        };
        let os_layer = image(OS, IMAGE)?;
        let mut runtime_layers = BTreeMap::new();
        for runtime in Runtime::ALL {
            if let Some(made) = index.steps.get(runtime.as_str()) {
                if made.key != runtime_key(runtime, &os_layer.digest) {
                    return Err(LoadError::Stale(runtime.to_string()));
                }
                runtime_layers.insert(runtime, image(runtime.as_str(), IMAGE)?);
            }
        }
        for (step, key) in [(KERNEL, kernel_key()), (OS, os_key())] {
            if index.steps.get(step).is_some_and(|m| m.key != key) {
                return Err(LoadError::Stale(step.to_owned()));
            }
        }
        Ok(GuestImages {
            kernel: image(KERNEL, VMLINUX)?,
            initramfs: image(INITRAMFS, IMAGE)?,
            os_layer,
            runtime_layers,
        })
    }

    /// Reads every image that [`ImageCache::load`] would return and names those
    /// whose content is not what was stored.
    pub fn verify(&self) -> Result<Vec<PathBuf>, LoadError> {
        let mut damaged = Vec::new();
        for stored in self.index()?.steps.values().flat_map(|m| m.images.values()) {
            let sound = self.store.verify(stored);
            if !sound.map_err(|source| self.unreadable(source))? {
                damaged.push(self.store.path(stored));
            }
        }
        Ok(damaged)
    }

    /// Builds what is missing or out of date, and nothing else: when all is
    /// there, this neither uses the network nor takes noticeable time. Waits
    /// for another build in the same cache to end first.
    pub fn build(&self, options: &BuildOptions<'_>) -> Result<GuestImages, BuildError> {
        let lock = File::create(self.directory.join("lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
            .map_err(io::Error::from)?;
        Build {
            cache: self,
            index: Index::read(&self.directory)?,
            packages: Packages::new(self.directory.join("packages")),
            options,
            steps_total: options.runtimes.len() + 3,
            steps_begun: 0,
        }
        .run()
    }

    /// Makes a scratch disk of `bytes` at `path`: an empty ext4 in a sparse file,
    /// its root mode 1777. The first of a size takes tens of milliseconds, the
    /// others less than one.
    pub fn create_scratch(&self, path: &Path, bytes: u64) -> Result<(), ScratchError> {
        self.scratch.create(path, bytes)
    }

    fn index(&self) -> Result<Index, LoadError> {
        Index::read(&self.directory).map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: io::Error) -> LoadError {
        LoadError::Io { path: self.directory.clone(), source }
    }

    fn image(&self, stored: &Stored) -> Image {
        Image { path: self.store.path(stored), digest: stored.digest.clone(), bytes: stored.bytes }
    }
}

/// One run of [`ImageCache::build`].
struct Build<'a> {
    cache: &'a ImageCache,
    index: Index,
    packages: Packages,
    options: &'a BuildOptions<'a>,
    steps_total: usize,
    steps_begun: usize,
}

impl Build<'_> {
    fn run(mut self) -> Result<GuestImages, BuildError> {
        let kernel = self.kernel()?;
        let os_layer =
            self.layer(OS, os_key(), |packages, tree, _| layers::os::build(packages, tree))?;
        let mut runtime_layers = BTreeMap::new();
        for &runtime in self.options.runtimes {
            let key = runtime_key(runtime, &os_layer.digest);
            let layer =
                self.layer(runtime.as_str(), key, |packages, tree, tools| match runtime {
                    Runtime::Python313 => layers::python::build(packages, tree, tools),
                    Runtime::NodeJs22 => {
                        layers::node::build(packages, tree, tools).map(|()| Vec::new())
                    }
                    Runtime::ProvidedAl2023 => layers::provided::build(tree).map(|()| Vec::new()),
                })?;
            runtime_layers.insert(runtime, self.cache.image(&layer));
        }
        let initramfs = self.initramfs(&kernel.images[MODULES])?;
        self.options.progress.finish();
        Ok(GuestImages {
            kernel: self.cache.image(&kernel.images[VMLINUX]),
            initramfs: self.cache.image(&initramfs),
            os_layer: self.cache.image(&os_layer),
            runtime_layers,
        })
    }

    fn kernel(&mut self) -> Result<Made, BuildError> {
        let key = kernel_key();
        if let Some(made) = self.begin(KERNEL, &key, &[VMLINUX, MODULES])? {
            return Ok(made);
        }
        let scratch = self.scratch()?;
        let kernel = kernel::build(&self.packages, scratch.path())?;
        let images = [
            (VMLINUX.to_owned(), self.cache.store.put(&kernel.vmlinux, "vmlinux")?),
            (MODULES.to_owned(), self.cache.store.put(&kernel.modules, "cpio")?),
        ];
        self.record(
            KERNEL,
            Made { key, images: images.into(), packages: versions(&[kernel.package]) },
        )
    }

    fn layer(
        &mut self,
        name: &str,
        key: Digest,
        make: impl FnOnce(&Packages, &Tree, &Tree) -> Result<Vec<Package>, LayerError>,
    ) -> Result<Stored, BuildError> {
        if let Some(made) = self.begin(name, &key, &[IMAGE])? {
            return Ok(made.images[IMAGE].clone());
        }
        let fail = |source| BuildError::Layer { name: name.to_owned(), source: Box::new(source) };
        let scratch = self.scratch()?;
        let begin =
            |part: &str| -> Result<Tree, TreeError> { Tree::begin(scratch.path().join(part)) };
        let tree = begin("tree").map_err(|e| fail(e.into()))?;
        let tools = begin("tools").map_err(|e| fail(e.into()))?;
        let packages = make(&self.packages, &tree, &tools).map_err(fail)?;
        self.options.progress.advance(0.8, "packing");
        let packed = scratch.path().join("image");
        erofs::pack(&tree.path(""), &packed).map_err(|e| fail(e.into()))?;
        let stored = self.cache.store.put_with("erofs", |path| fs::rename(&packed, path))?;
        let images = [(IMAGE.to_owned(), stored.clone())].into();
        self.record(name, Made { key, images, packages: versions(&packages) })?;
        Ok(stored)
    }

    fn initramfs(&mut self, modules: &Stored) -> Result<Stored, BuildError> {
        let path = self.options.agent;
        let agent =
            fs::read(path).map_err(|source| BuildError::Agent { path: path.to_owned(), source })?;
        let mut key = digester(INITRAMFS);
        key.field(modules.digest.as_str().as_bytes()).field(&agent);
        let key = key.finish();
        if let Some(made) = self.begin(INITRAMFS, &key, &[IMAGE])? {
            return Ok(made.images[IMAGE].clone());
        }
        let modules = fs::read(self.cache.store.path(modules))?;
        let stored = self.cache.store.put(&initramfs::build(&agent, &modules), "cpio")?;
        let images = [(IMAGE.to_owned(), stored.clone())].into();
        self.record(INITRAMFS, Made { key, images, packages: Default::default() })?;
        Ok(stored)
    }

    /// Begins a step: what it made before, when that is still good.
    fn begin(
        &mut self,
        name: &str,
        key: &Digest,
        roles: &[&str],
    ) -> Result<Option<Made>, BuildError> {
        self.steps_begun += 1;
        self.options.progress.step(self.steps_begun, self.steps_total, name);
        let good = |made: &&Made| {
            let has = |role: &&str| made.images.get(*role).is_some_and(|s| self.cache.store.has(s));
            made.key == *key && roles.iter().all(has)
        };
        let made = self.index.steps.get(name).filter(good);
        if made.is_some() && (!self.options.refresh || name == INITRAMFS) {
            return Ok(made.cloned());
        }
        let missing = tools::missing();
        if missing.is_empty() { Ok(None) } else { Err(BuildError::Tools(missing)) }
    }

    fn record(&mut self, name: &str, made: Made) -> Result<Made, BuildError> {
        self.index.steps.insert(name.to_owned(), made.clone());
        self.index.write(&self.cache.directory)?;
        Ok(made)
    }

    fn scratch(&self) -> io::Result<tempfile::TempDir> {
        let work = self.cache.directory.join("work");
        fs::create_dir_all(&work)?;
        tempfile::tempdir_in(work)
    }
}

fn digester(kind: &str) -> Digester {
    let mut key = Digester::new(kind);
    key.field(&BUILDER_VERSION.to_le_bytes()).field(crate::sources::SUITE.as_bytes());
    key
}

fn kernel_key() -> Digest {
    let mut key = digester(KERNEL);
    key.field(crate::modules::WANTED.join(" ").as_bytes());
    key.finish()
}

fn os_key() -> Digest {
    let mut key = digester(OS);
    recipe::OS.digest_into(&mut key);
    key.finish()
}

/// A runtime's layer holds what the OS layer beneath it does not, so a new OS
/// layer makes a new runtime layer.
fn runtime_key(runtime: Runtime, os_layer: &Digest) -> Digest {
    let mut key = digester(runtime.as_str());
    key.field(os_layer.as_str().as_bytes());
    if let Some(recipe) = recipe_of(runtime) {
        recipe.digest_into(&mut key);
    }
    key.finish()
}

fn recipe_of(runtime: Runtime) -> Option<Recipe> {
    match runtime {
        Runtime::Python313 => Some(recipe::PYTHON313),
        Runtime::NodeJs22 => Some(recipe::NODEJS22),
        Runtime::ProvidedAl2023 => None,
    }
}
