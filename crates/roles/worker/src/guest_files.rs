//! The files that guests' disks and memory are: served page by page, each guest its
//! own, so that no two guests share a page of the host's cache.
//!
//! The server of pages is a process. When it dies its files are of no more use, and
//! the sandboxes on them are killed; the next sandbox starts another.

use crate::code::local;
use crate::{WorkerService, snapshot_metrics};
use hearth_page_server::{
    Access, CloneFile, FileSpec, PageServer, PageServerError, StartError, StartOptions,
};
use hearth_snapshot_store::Reference;
use std::path::Path;
use std::sync::{Arc, Weak};

/// What guests are told a disk has, before it is known what is on it: more than any
/// image.
const DISK_BYTES: u64 = 16 << 30;

/// A file could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    #[error("the page server could not be started")]
    Start(#[from] StartError),
    #[error("the worker is shutting down")]
    ShuttingDown,
    #[error("a file of the page server could not be made")]
    Server(#[from] PageServerError),
}

/// A running page server. Files hold on to theirs.
#[derive(Clone)]
pub(crate) struct GuestFiles {
    server: PageServer,
    /// Tells servers apart.
    generation: u64,
}

impl GuestFiles {
    /// Which server it is.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// A disk, empty until it is bound.
    pub(crate) async fn disk(&self) -> Result<CloneFile, FilesError> {
        self.file(DISK_BYTES, Access::Direct).await
    }

    /// A disk that holds an image.
    pub(crate) async fn disk_of(&self, image: &Reference) -> Result<CloneFile, FilesError> {
        let disk = self.disk().await?;
        bind_image(&disk, image).await?;
        Ok(disk)
    }

    /// A disk on which nothing will be.
    pub(crate) async fn placeholder(&self) -> Result<CloneFile, FilesError> {
        self.disk_of(&nothing()).await
    }

    /// Memory of a clone, empty until it is bound.
    pub(crate) async fn memory(&self, memory_mib: u32) -> Result<CloneFile, FilesError> {
        self.file(u64::from(memory_mib) << 20, Access::Mapped).await
    }

    async fn file(&self, size: u64, access: Access) -> Result<CloneFile, FilesError> {
        let spec = FileSpec { size, writable: false, uid: None, access };
        Ok(self.server.create(spec).await?)
    }
}

/// Says that a disk holds an image.
pub(crate) async fn bind_image(disk: &CloneFile, image: &Reference) -> Result<(), PageServerError> {
    disk.bind(image.encode(), None).await
}

/// An image with nothing on it.
pub(crate) fn nothing() -> Reference {
    local(Path::new("/dev/null"))
}

/// The server of the day.
pub(crate) struct PageServers {
    options: StartOptions,
    current: tokio::sync::Mutex<Option<GuestFiles>>,
}

impl PageServers {
    pub(crate) fn new(options: StartOptions) -> Self {
        Self { options, current: tokio::sync::Mutex::default() }
    }

    /// The running server, started if there is none.
    pub(crate) async fn get(&self, worker: &Arc<WorkerService>) -> Result<GuestFiles, FilesError> {
        let mut current = self.current.lock().await;
        if let Some(files) = &*current
            && files.generation == worker.page_server_generation()
        {
            return Ok(files.clone());
        }
        if worker.starts.is_closed() {
            return Err(FilesError::ShuttingDown);
        }
        let server = PageServer::start(self.options.clone()).await?;
        let generation = worker.page_server_generation();
        let watched = watch(Arc::downgrade(worker), server.clone(), generation);
        hearth_tasks::spawn_tracked(&worker.watchers, "page server watch", watched);
        let files = GuestFiles { server, generation };
        *current = Some(files.clone());
        Ok(files)
    }

    /// Ends the server.
    pub(crate) async fn shutdown(&self) {
        if let Some(files) = self.current.lock().await.take() {
            files.server.shutdown().await;
        }
    }
}

/// Retires what depends on a server when it dies.
async fn watch(worker: Weak<WorkerService>, server: PageServer, generation: u64) {
    let death = server.died().await;
    let Some(worker) = worker.upgrade() else { return };
    if worker.starts.is_closed() {
        return;
    }
    snapshot_metrics::page_server_died();
    tracing::error!(%death, "the page server died; its sandboxes are killed");
    worker.retire_page_server(generation).await;
}
