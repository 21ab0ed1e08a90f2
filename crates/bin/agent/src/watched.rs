//! Registers file descriptors with the event loop.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;

/// A descriptor whose readiness the event loop reports.
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` owns a valid descriptor, and `AsyncFd` lends it out
    // only by shared reference, so it stays the same one until both are gone.
    Ok(unsafe { AsyncFd::register(fd) }?)
}
