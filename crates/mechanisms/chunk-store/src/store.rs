//! The store: levels, keys and guards, shared by all who hold a clone.

use crate::bounds::WRITES_MAX;
use crate::disk::Disk;
use crate::fetch::Levels;
use crate::guards::Guards;
use crate::keyring::Keyring;
use crate::options::Options;
use crate::origin::Origin;
use object_store::ObjectStore;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// A chunk store. Clones share everything.
#[derive(Clone)]
pub struct ChunkStore {
    pub(crate) shared: Arc<Shared>,
    /// Writes store what the origin seems to have, too.
    pub(crate) stores_all: bool,
}

pub(crate) struct Shared {
    pub(crate) levels: Levels,
    pub(crate) keyring: Keyring,
    pub(crate) guards: Arc<Guards>,
    pub(crate) writes: Semaphore,
    pub(crate) collector: Mutex<()>,
    pub(crate) grace: Duration,
    pub(crate) is_shared: bool,
}

impl ChunkStore {
    /// A store over `origin`, which must sync what it is given before it
    /// answers. Reads the directory of the cache on disk, so it may block.
    pub fn new(
        origin: Arc<dyn ObjectStore>,
        keyring: Keyring,
        options: Options,
    ) -> io::Result<Self> {
        let disk = options.disk.clone().map(Disk::open).transpose()?;
        let origin = Origin::new(origin, options.origin_wait);
        let shared = Shared {
            levels: Levels::new(origin, disk, &options),
            keyring,
            guards: Arc::default(),
            writes: Semaphore::new(WRITES_MAX),
            collector: Mutex::default(),
            grace: options.grace,
            is_shared: options.is_shared,
        };
        Ok(Self { shared: Arc::new(shared), stores_all: false })
    }

    /// The same store, whose writes store every chunk, whatever the origin seems to have
    /// of it: for what takes the place of something damaged. More is bad there than was
    /// read, and the same bytes would lead to the same chunks.
    pub fn storing_all(&self) -> Self {
        Self { stores_all: true, ..self.clone() }
    }

    /// How long what is written is safe from a collection.
    pub fn grace(&self) -> Duration {
        self.shared.grace
    }

    /// The keys.
    pub fn keyring(&self) -> &Keyring {
        &self.shared.keyring
    }
}
