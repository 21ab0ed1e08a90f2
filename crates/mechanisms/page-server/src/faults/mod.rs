//! The userfaultfd front: another process's memory, whose missing pages are a
//! file's.
//!
//! ```text
//!  kernel ── fault ──► event loop ── demand ──► PagedFile
//!                                                   │ take / store
//!  kernel ◄── copy, zeros, poison ──────────────────┘
//! ```
//!
//! **Given back** (`EVENT_REMOVE`): a page that the process gave back is zeros
//! from then on, whatever the file says. The kernel refuses copies from when it
//! has such an event to when the event is read (`EAGAIN`), and the event is read
//! under the lock under which copies are made; so no copy that was decided
//! before the event takes place after it.

mod abi;
mod regions;

pub use regions::FaultRegion;
pub(crate) use regions::Regions;

use crate::PAGE_BYTES;
use crate::page::{PageNo, PageRun, PageSet};
use crate::paged_file::{Cache, Failed, PagedFile, Taker, ZEROS};
use abi::Event;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

/// Pages that a process may be waiting for: far more than a VMM has threads. A
/// thread that a signal takes out of a fault can ask for another page.
const ASKED_MAX: usize = 1024;

/// The faults of one process.
pub(crate) struct Faults {
    fd: AsyncFd<OwnedFd>,
    regions: Regions,
    file: Weak<PagedFile>,
    state: Mutex<State>,
    /// A copy was refused because of events that are to be read.
    deferred: Notify,
}

struct State {
    /// Given back: zeros.
    removed: PageSet,
    /// Asked for, each once however many threads wait.
    asked: HashSet<PageNo>,
    /// Here, and refused for now. Some of those asked for.
    deferred: Vec<(PageNo, Result<Bytes, Failed>)>,
}

impl Faults {
    /// Takes over a userfaultfd of a process. Needs a tokio runtime.
    pub(crate) fn new(fd: OwnedFd, regions: Regions, file: &Arc<PagedFile>) -> io::Result<Self> {
        let removed = PageSet::new((file.spec().size / PAGE_BYTES) as u32);
        let state = State { removed, asked: HashSet::new(), deferred: Vec::new() };
        Ok(Self {
            fd: abi::watch(fd)?,
            regions,
            file: Arc::downgrade(file),
            state: Mutex::new(state),
            deferred: Notify::new(),
        })
    }

    /// Serves until the file is removed, which cuts this short, or the process
    /// is gone and the kernel says so.
    pub(crate) async fn serve(self: Arc<Self>) {
        loop {
            let served = tokio::select! {
                ready = self.fd.readable() => match ready {
                    Ok(mut ready) => {
                        let read = ready.try_io(|fd| self.read(fd));
                        match read {
                            Ok(Ok(faults)) => self.demand(faults),
                            Ok(Err(error)) => Err(error),
                            Err(_would_block) => Ok(()),
                        }
                    }
                    Err(error) => Err(error),
                },
                () = self.deferred.notified() => {
                    // Had the event been read meanwhile, nothing would wake us.
                    match self.read(&self.fd) {
                        Ok(faults) => self.demand(faults),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                        Err(error) => Err(error),
                    }
                }
            };
            if let Err(error) = served {
                tracing::warn!(%error, "a userfaultfd cannot be read, and is served no longer");
                return;
            }
            let again = std::mem::take(&mut self.state.lock().deferred);
            for (page, data) in again {
                self.give(page, data);
            }
        }
    }

    /// Takes events: notes what was given back, returns what is asked for.
    fn read(&self, fd: &AsyncFd<OwnedFd>) -> io::Result<Vec<PageNo>> {
        let mut state = self.state.lock();
        let mut faults = Vec::new();
        for event in abi::events(fd.get_ref().as_fd())? {
            match event {
                Event::Fault(address) => match self.regions.page(address) {
                    Some(page) => faults.push(page),
                    None => tracing::warn!(address, "a fault is in no region"),
                },
                Event::Removed(from, to) => {
                    let addresses = (from..to).step_by(PAGE_BYTES as usize);
                    for page in addresses.filter_map(|address| self.regions.page(address)) {
                        state.removed.insert(page);
                    }
                }
                Event::Other(event) => tracing::warn!(event, "an unexpected userfaultfd event"),
            }
        }
        Ok(faults)
    }

    /// Asks for pages, once each.
    fn demand(self: &Arc<Self>, faults: Vec<PageNo>) -> io::Result<()> {
        for page in faults {
            let Some(file) = self.file.upgrade() else { return Ok(()) };
            let removed = {
                let mut state = self.state.lock();
                if !state.asked.insert(page) {
                    continue;
                }
                if state.asked.len() > ASKED_MAX {
                    return Err(io::Error::other("a process asks for too many pages at once"));
                }
                state.removed.contains(page)
            };
            if removed {
                self.give(page, Ok(Bytes::from_static(&ZEROS)));
            } else {
                file.read(PageRun::one(page), self.clone());
            }
        }
        Ok(())
    }

    /// Gives the process a page that it has asked for.
    fn give(&self, page: PageNo, data: Result<Bytes, Failed>) {
        let Some(address) = self.regions.address(page) else { return };
        let mut state = self.state.lock();
        let fd = self.fd.get_ref().as_fd();
        let given = match &data {
            _ if state.removed.contains(page) => abi::zero(fd, address),
            Ok(bytes) => abi::copy(fd, address, bytes),
            Err(_) => abi::poison(fd, address),
        };
        match given {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                state.deferred.push((page, data));
                self.deferred.notify_one();
                return;
            }
            // The process, or that part of its memory, is gone.
            Ok(()) => {}
            Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT)) => {}
            Err(error) => tracing::error!(page = page.0, %error, "a page cannot be given"),
        }
        state.asked.remove(&page);
    }
}

impl Taker for Faults {
    fn take(&self, page: PageNo, data: Result<Bytes, Failed>) {
        self.give(page, data);
    }
}

impl Cache for Faults {
    fn store(&self, first: PageNo, bytes: &[u8]) -> io::Result<()> {
        for (index, bytes) in bytes.chunks_exact(PAGE_BYTES as usize).enumerate() {
            let page = PageNo(first.0 + index as u32);
            let Some(address) = self.regions.address(page) else { continue };
            let state = self.state.lock();
            if !state.removed.contains(page) {
                abi::copy(self.fd.get_ref().as_fd(), address, bytes)?;
            }
        }
        Ok(())
    }
}
