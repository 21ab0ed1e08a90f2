//! One order at a time.

use crate::faults::{FaultRegion, Faults, Regions};
use crate::files::Files;
use crate::fuse::{KernelCache, Mounted, detach};
use crate::layout;
use crate::paged_file::{Ahead, PagedFile};
use crate::wire::{Answer, Order, Prefetch, Refusal};
use crate::{
    CloneId, FileSpec, PAGE_BYTES, SOURCE_REF_BYTES_MAX, Source, SourceRef, Sources, Waits,
};
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a running server has.
pub(super) struct Server {
    files: Arc<Files>,
    mounted: Mounted,
    mount_point: PathBuf,
    scratch: PathBuf,
    waits: Waits,
    sources: Arc<dyn Sources>,
}

impl Server {
    /// Mounts, after taking down what a dead server has left there.
    pub(super) async fn start(
        dir: &Path,
        waits: Waits,
        sources: Arc<dyn Sources>,
    ) -> io::Result<Self> {
        if rustix::param::page_size() as u64 != PAGE_BYTES {
            return Err(io::Error::other("this machine's pages are of another size"));
        }
        let (mount_point, scratch) = (layout::files(dir), layout::scratch(dir));
        let files = Arc::new(Files::new());
        let serving = files.clone();
        let (at, beside) = (mount_point.clone(), scratch.clone());
        let mount = move || {
            detach(&at)?;
            for dir in [&at, &beside] {
                DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            }
            if let Some(dir) = at.parent() {
                std::fs::set_permissions(dir, Permissions::from_mode(0o700))?;
            }
            Mounted::new(&at, serving)
        };
        let mounted = tokio::task::spawn_blocking(mount).await.map_err(io::Error::other)??;
        Ok(Self { files, mounted, mount_point, scratch, waits, sources })
    }

    /// Takes the mount down. Who has a file open gets errors once the process is
    /// gone.
    pub(super) fn stop(&self) {
        if let Err(error) = detach(&self.mount_point) {
            tracing::error!(%error, "the page server's mount could not be taken down");
        }
    }

    pub(super) async fn obey(&self, order: Order, fd: Option<OwnedFd>) -> Result<Answer, Refusal> {
        match order {
            Order::ServeFaults { id, regions } => self.serve_faults(id, regions, fd),
            Order::Start { .. } | Order::Shutdown => Err(Refusal::Order),
            Order::Create(spec) => self.create(spec).await.map(Answer::Created),
            Order::Bind { id, source, prefetch } => self.bind(id, &source, prefetch).await,
            Order::Prefetched(id) => Ok(Answer::Prefetched(self.file(id)?.prefetched().await)),
            Order::Stats(id) => Ok(Answer::Stats(self.file(id)?.stats())),
            Order::Log(id) => Ok(Answer::Log(self.file(id)?.log())),
            Order::Known => Ok(Answer::Known(self.files.known())),
            Order::Finish(id) => {
                let file = self.files.remove(id).ok_or(Refusal::NoFile)?;
                file.close();
                self.forget(id).await;
                Ok(Answer::Log(file.log()))
            }
        }
    }

    async fn forget(&self, id: CloneId) {
        let notifier = self.mounted.notifier();
        let forget = tokio::task::spawn_blocking(move || Mounted::forget(&notifier, id));
        if let Err(error) = forget.await.map_err(io::Error::other).flatten() {
            tracing::warn!(file = id.0, %error, "the kernel keeps the pages of a removed file");
        }
    }

    fn file(&self, id: CloneId) -> Result<Arc<PagedFile>, Refusal> {
        self.files.get(id).ok_or(Refusal::NoFile)
    }

    async fn create(&self, spec: FileSpec) -> Result<CloneId, Refusal> {
        let id = self.files.next_id();
        let (waits, scratch) = (self.waits, self.scratch.clone());
        let make = move || PagedFile::new(id, spec, waits, &scratch);
        let made = tokio::task::spawn_blocking(make).await;
        let made = made.map_err(|error| Refusal::Create(error.to_string()))?;
        let file = made.map_err(|error| Refusal::Create(chain(&error)))?;
        file.set_cache(Arc::new(KernelCache::new(id, self.mounted.notifier())));
        if self.files.add(Arc::new(file)) { Ok(id) } else { Err(Refusal::TooMany) }
    }

    async fn bind(
        &self,
        id: CloneId,
        source: &SourceRef,
        prefetch: Option<Prefetch>,
    ) -> Result<Answer, Refusal> {
        let file = self.file(id)?;
        let pack = prefetch.as_ref().and_then(|prefetch| prefetch.pack.as_ref());
        let opening = async {
            match pack {
                Some(pack) => {
                    tokio::try_join!(self.open(source), async { self.open(pack).await.map(Some) })
                }
                None => Ok((self.open(source).await?, None)),
            }
        };
        let opened = tokio::time::timeout(self.waits.source, opening).await;
        let (source, pack) = opened.map_err(|late| Refusal::Source(late.to_string()))??;
        let ahead = prefetch.map(|Prefetch { pages, zeros, .. }| Ahead { pack, pages, zeros });
        file.bind(source, ahead).map_err(|error| Refusal::Bind(error.to_string()))?;
        Ok(Answer::Done)
    }

    fn serve_faults(
        &self,
        id: CloneId,
        regions: Vec<FaultRegion>,
        fd: Option<OwnedFd>,
    ) -> Result<Answer, Refusal> {
        let file = self.file(id)?;
        let refuse = |why: &str| Refusal::Faults(why.to_owned());
        let fd = fd.ok_or_else(|| refuse("no descriptor came with the order"))?;
        let regions = Regions::new(regions, file.spec().size)
            .ok_or_else(|| refuse("the regions overlap, or are not in the file"))?;
        if file.spec().writable {
            // What the process writes is its own; an overlay would have no part in it.
            return Err(refuse("the file can be written"));
        }
        let faults = Faults::new(fd, regions, &file).map_err(|error| refuse(&error.to_string()))?;
        file.serve_faults(Arc::new(faults));
        Ok(Answer::Done)
    }

    async fn open(&self, reference: &SourceRef) -> Result<Arc<dyn Source>, Refusal> {
        if reference.0.len() > SOURCE_REF_BYTES_MAX {
            return Err(Refusal::Source("its reference is too long".into()));
        }
        self.sources.open(reference).await.map_err(|error| Refusal::Source(chain(&error)))
    }
}

/// An error and what it came from, for the other side's log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
