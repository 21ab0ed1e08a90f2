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
}

pub(crate) struct Shared {
    pub(crate) levels: Levels,
    pub(crate) keyring: Keyring,
    pub(crate) guards: Arc<Guards>,
    pub(crate) writes: Semaphore,
    pub(crate) collector: Mutex<()>,
    pub(crate) grace: Duration,
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
        };
        Ok(Self { shared: Arc::new(shared) })
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
