//! A file of a page server, as its client has it.

use super::link::{Outgoing, check};
use super::{ANSWER_WAIT_MAX, Inner, PageServerError};
use crate::wire::{Answer, Order};
use crate::{
    AccessLog, CloneId, FaultRegion, FileSpec, FileStats, Prefetch, PrefetchReport, SourceRef,
};
use rustix::fs::{Mode, OFlags, open};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::OwnedPermit;

/// Longest that fetching ahead is waited for: a whole pack, slowly.
const PREFETCH_WAIT_MAX: Duration = Duration::from_secs(120);

/// A file of a page server; it is removed when this is dropped.
pub struct CloneFile {
    server: Arc<Inner>,
    id: CloneId,
    path: PathBuf,
    /// Keeps the kernel's inode, into whose cache pages can be pushed, though
    /// nobody has the file open yet.
    _pin: OwnedFd,
    removal: Option<OwnedPermit<Outgoing>>,
}

impl fmt::Debug for CloneFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloneFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl CloneFile {
    pub(super) async fn create(
        server: Arc<Inner>,
        spec: FileSpec,
    ) -> Result<Self, PageServerError> {
        let removal = server.link.place().await?;
        let Answer::Created(id) = server.order(Order::Create(spec)).await? else {
            return Err(PageServerError::Nonsense);
        };
        let path = server.files.join(id.0.to_string());
        let at = path.clone();
        let pin =
            move || open(&at, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let pin = match tokio::task::spawn_blocking(pin).await {
            Ok(pin) => pin.map_err(|error| PageServerError::Open(error.into())),
            Err(error) => Err(PageServerError::Open(io::Error::other(error))),
        };
        match pin {
            Ok(pin) => Ok(Self { server, id, path, _pin: pin, removal: Some(removal) }),
            Err(error) => {
                removal.send(Outgoing::unanswered(Order::Finish(id)));
                Err(error)
            }
        }
    }

    /// Its id: its name, too.
    pub fn id(&self) -> CloneId {
        self.id
    }

    /// Where it is. The directories above let only root pass; give a VMM the
    /// opened file, or a bind mount of it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says what is in it. Reads that wait go on, and pages are fetched ahead
    /// into the kernel's cache if that is asked for.
    pub async fn bind(
        &self,
        source: SourceRef,
        prefetch: Option<Prefetch>,
    ) -> Result<(), PageServerError> {
        let order = Order::Bind { id: self.id, source, prefetch };
        check(&order)?;
        match self.server.order(order).await? {
            Answer::Done => Ok(()),
            _ => Err(PageServerError::Nonsense),
        }
    }

    /// Serves the faults of a process with what this file is bound to, and
    /// pushes into its memory what is fetched ahead: to be called before
    /// [`bind`](Self::bind). `uffd` is a userfaultfd of that process, on which the
    /// regions are registered for missing pages; of its events, removals are
    /// heeded. A page that cannot be had gives the process `SIGBUS`, or before
    /// Linux 6.6 nothing: then it waits until it is killed. The process has to keep
    /// a descriptor of its own: with the last one its missing pages become zeros.
    pub async fn serve_faults(
        &self,
        uffd: OwnedFd,
        regions: Vec<FaultRegion>,
    ) -> Result<(), PageServerError> {
        let order = Order::ServeFaults { id: self.id, regions };
        check(&order)?;
        match self.server.order_within(order, Some(uffd), ANSWER_WAIT_MAX).await? {
            Answer::Done => Ok(()),
            _ => Err(PageServerError::Nonsense),
        }
    }

    /// Waits until nothing is being fetched ahead any more.
    pub async fn prefetched(&self) -> Result<PrefetchReport, PageServerError> {
        let order = Order::Prefetched(self.id);
        match self.server.order_within(order, None, PREFETCH_WAIT_MAX).await? {
            Answer::Prefetched(Some(report)) => Ok(report),
            Answer::Prefetched(None) => Err(PageServerError::Gone),
            _ => Err(PageServerError::Nonsense),
        }
    }

    /// What happened to it so far.
    pub async fn stats(&self) -> Result<FileStats, PageServerError> {
        match self.server.order(Order::Stats(self.id)).await? {
            Answer::Stats(stats) => Ok(stats),
            _ => Err(PageServerError::Nonsense),
        }
    }

    /// What was touched so far.
    pub async fn log(&self) -> Result<AccessLog, PageServerError> {
        self.log_of(Order::Log(self.id)).await
    }

    /// Removes it, and says what was touched. Who has it open gets errors for
    /// pages that the kernel does not have.
    pub async fn finish(mut self) -> Result<AccessLog, PageServerError> {
        let log = self.log_of(Order::Finish(self.id)).await?;
        self.removal = None;
        Ok(log)
    }

    async fn log_of(&self, order: Order) -> Result<AccessLog, PageServerError> {
        match self.server.order(order).await? {
            Answer::Log(log) => Ok(log),
            _ => Err(PageServerError::Nonsense),
        }
    }
}

impl Drop for CloneFile {
    fn drop(&mut self) {
        if let Some(removal) = self.removal.take() {
            removal.send(Outgoing::unanswered(Order::Finish(self.id)));
        }
    }
}
