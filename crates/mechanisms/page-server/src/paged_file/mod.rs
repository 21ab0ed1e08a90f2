//! One file that is served: its [`Core`], its source, its overlay, and the work
//! under way for it. Knows nothing of who asks: see [`Taker`] and [`Cache`].

mod ahead;
mod read;
mod write;

pub(crate) use ahead::Ahead;

use crate::core::Core;
use crate::faults::Faults;
use crate::overlay::Overlay;
use crate::page::{FILE_BYTES_MAX, PageNo, PageRun};
use crate::stats::{FileStats, PrefetchReport};
use crate::{AccessLog, CloneId, FileSpec, PAGE_BYTES, Source, Waits};
use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Requests for one file at the same time: above the threads of a VMM (some 40).
const REQUESTS_MAX: usize = 128;
/// Stretches of data looked at for the next hole. A capture gains little from
/// holes in a file that is in more pieces, and the search must end.
const HOLE_STEPS_MAX: usize = 64 * 1024;

/// A page of zeros.
pub(crate) static ZEROS: [u8; PAGE_BYTES as usize] = [0; PAGE_BYTES as usize];

/// Why a page is not served. The reason is logged; whoever asked gets `EIO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failed {
    #[error("the source or the overlay failed")]
    Source,
    #[error("the file was not bound in time")]
    NotBound,
    #[error("too much was asked for at once")]
    TooMuch,
    #[error("the file is removed")]
    Closed,
}

/// Who asked for pages. Gets each page that was asked for once, in any order,
/// whole pages or a failure; from any thread, and must not block.
pub(crate) trait Taker: Send + Sync {
    fn take(&self, page: PageNo, data: Result<Bytes, Failed>);
}

/// Whatever keeps pages for who would ask: the kernel's page cache of the file,
/// or the memory of the process that faults.
pub(crate) trait Cache: Send + Sync {
    /// Puts pages there that nobody has asked for. May block.
    fn store(&self, first: PageNo, bytes: &[u8]) -> io::Result<()>;
}

type Waiter = Arc<dyn Taker>;

pub(crate) struct PagedFile {
    id: CloneId,
    spec: FileSpec,
    waits: Waits,
    created: Instant,
    core: Mutex<Core<Waiter>>,
    source: OnceLock<Arc<dyn Source>>,
    overlay: Option<Overlay>,
    requests: Arc<Semaphore>,
    /// One write at a time: two may share a page.
    writing: tokio::sync::Mutex<()>,
    cache: Mutex<Option<Arc<dyn Cache>>>,
    counters: Counters,
    bound: CancellationToken,
    closed: CancellationToken,
    prefetched: watch::Sender<Option<PrefetchReport>>,
    tasks: TaskTracker,
    runtime: Handle,
}

#[derive(Default)]
struct Counters {
    source_reads: AtomicU64,
    source_bytes: AtomicU64,
    pack_bytes: AtomicU64,
    written_bytes: AtomicU64,
    failures: AtomicU64,
    bind_us: OnceLock<u64>,
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// A file cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error("a size of {0} bytes is not a number of whole pages, from 1 to {FILE_BYTES_MAX} bytes")]
    Size(u64),
    #[error("its overlay could not be made")]
    Overlay(#[source] io::Error),
}

impl PagedFile {
    /// Makes a file without a source. Blocks; needs a tokio runtime.
    pub(crate) fn new(
        id: CloneId,
        spec: FileSpec,
        waits: Waits,
        scratch: &Path,
    ) -> Result<Self, CreateError> {
        let size = spec.size;
        if size == 0 || size > FILE_BYTES_MAX || !size.is_multiple_of(PAGE_BYTES) {
            return Err(CreateError::Size(size));
        }
        let overlay = spec.writable.then(|| Overlay::create(scratch, size));
        Ok(Self {
            id,
            waits,
            created: Instant::now(),
            // At most FILE_BYTES_MAX / PAGE_BYTES.
            core: Mutex::new(Core::new((size / PAGE_BYTES) as u32)),
            source: OnceLock::new(),
            overlay: overlay.transpose().map_err(CreateError::Overlay)?,
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            writing: tokio::sync::Mutex::default(),
            cache: Mutex::default(),
            counters: Counters::default(),
            bound: CancellationToken::new(),
            closed: CancellationToken::new(),
            prefetched: watch::Sender::new(None),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            spec,
        })
    }

    pub(crate) fn id(&self) -> CloneId {
        self.id
    }

    pub(crate) fn spec(&self) -> &FileSpec {
        &self.spec
    }

    /// Pages fetched ahead are put there from now on.
    pub(crate) fn set_cache(&self, cache: Arc<dyn Cache>) {
        *self.cache.lock() = Some(cache);
    }

    /// Serves a process's faults, and keeps what is fetched ahead in its memory.
    pub(crate) fn serve_faults(self: &Arc<Self>, faults: Arc<Faults>) {
        self.set_cache(faults.clone());
        self.go("page faults", faults.serve());
    }

    /// Serves nothing from now on: all who wait get a failure.
    pub(crate) fn close(&self) {
        self.closed.cancel();
        // What waits is answered as it is dropped.
        let waiters = self.core.lock().close();
        drop(waiters);
        *self.cache.lock() = None;
        self.tasks.close();
    }

    pub(crate) fn log(&self) -> AccessLog {
        self.core.lock().log()
    }

    pub(crate) fn stats(&self) -> FileStats {
        let counts = self.core.lock().counts;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FileStats {
            requests: counts.requests,
            pages: counts.pages,
            zero_pages: counts.zero_pages,
            source_pages: counts.source_pages,
            joined_pages: counts.joined_pages,
            pushed_pages: counts.pushed_pages,
            source_reads: read(&self.counters.source_reads),
            source_bytes: read(&self.counters.source_bytes),
            pack_bytes: read(&self.counters.pack_bytes),
            written_bytes: read(&self.counters.written_bytes),
            failures: read(&self.counters.failures),
            bind_us: self.counters.bind_us.get().copied(),
            prefetch: self.prefetched.borrow().clone(),
        }
    }

    /// Where the next data is from `offset` on, in the file as it reads now.
    /// Before it is bound, all of it may be.
    pub(crate) fn next_data(&self, offset: u64) -> Option<Range<u64>> {
        let Some(source) = self.source.get() else { return Some(offset..self.spec.size) };
        let page = PageNo((offset / PAGE_BYTES).try_into().ok()?);
        let written = self.core.lock().next_written(page).map(PageRun::bytes);
        let written = written.map(|bytes| bytes.start.max(offset)..bytes.end);
        let next = match (written, source.next_data(offset)) {
            (Some(a), Some(b)) => Some(if a.start <= b.start { a } else { b }),
            (a, b) => a.or(b),
        };
        next.map(|data| data.start..data.end.min(self.spec.size)).filter(|data| !data.is_empty())
    }

    /// Where the next hole is from `offset` on; the end of the file is one.
    pub(crate) fn next_hole(&self, offset: u64) -> u64 {
        let mut hole = offset;
        for _ in 0..HOLE_STEPS_MAX {
            match self.next_data(hole) {
                Some(data) if data.start <= hole => hole = data.end,
                _ => return hole,
            }
        }
        self.spec.size
    }

    /// A place among the requests for this file, until it is dropped.
    pub(crate) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        let permit = self.requests.clone().try_acquire_owned().ok();
        if permit.is_none() {
            add(&self.counters.failures, 1);
        }
        permit
    }

    /// Does work for this file: at once as far as it goes without waiting, the
    /// rest on the runtime. It is cut short when the file is closed.
    fn go(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let _in_runtime = self.runtime.enter();
        let mut work = Box::pin(self.closed.clone().run_until_cancelled_owned(work));
        if (&mut work).now_or_never().is_none() {
            drop(hearth_tasks::spawn_tracked(&self.tasks, name, async move {
                let _done_or_closed = work.await;
            }));
        }
    }
}
