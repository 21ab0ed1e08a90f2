//! Registers file descriptors with the event loop.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;
use tokio::io::{Interest, unix::AsyncFd};

/// A descriptor whose readiness the event loop reports.
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` owns a valid descriptor, and `AsyncFd` lends it out
    // only by shared reference, so it stays the same one until both are gone.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

/// A descriptor of which the event loop reports only that it has urgent news.
pub(crate) fn watch_urgent(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: as above.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::PRIORITY) }?)
}

/// A descriptor that is only read from.
pub(crate) fn watch_reads(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: as above.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// A descriptor that is only written to.
pub(crate) fn watch_writes(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: as above.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::WRITABLE) }?)
}
