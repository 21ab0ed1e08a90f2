//! The kernel's userfaultfd interface, as far as it is used: `linux/userfaultfd.h`.
//!
//! A crate for it exists, and needs libclang to be built; it would be the only
//! one here to.
#![allow(unsafe_code)]

use crate::PAGE_BYTES;
use crate::paged_file::ZEROS;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use tokio::io::unix::AsyncFd;

const UFFDIO_WAKE: libc::Ioctl = 0x8010_aa02;
const UFFDIO_COPY: libc::Ioctl = 0xc028_aa03;
const UFFDIO_POISON: libc::Ioctl = 0xc020_aa08;

const EVENT_PAGEFAULT: u8 = 0x12;
const EVENT_FORK: u8 = 0x13;
const EVENT_REMOVE: u8 = 0x15;
/// Size of one `uffd_msg`.
const MESSAGE_BYTES: usize = 32;
/// Messages taken at once.
const MESSAGES_MAX: usize = 16;

/// What the kernel says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A thread waits for the page at this address.
    Fault(u64),
    /// From the first to before the second address, memory was given back.
    Removed(u64, u64),
    /// Something that nobody asked to be told.
    Other(u8),
}

/// The next events; an error of kind `WouldBlock` if there are none.
pub(super) fn events(fd: BorrowedFd<'_>) -> io::Result<Vec<Event>> {
    let mut buffer = [0; MESSAGE_BYTES * MESSAGES_MAX];
    let read = rustix::io::read(fd, &mut buffer)?;
    Ok(buffer[..read].as_chunks::<MESSAGE_BYTES>().0.iter().map(event).collect())
}

fn event(message: &[u8; MESSAGE_BYTES]) -> Event {
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&message[at..at + 8]);
        u64::from_ne_bytes(word)
    };
    match message[0] {
        EVENT_PAGEFAULT => Event::Fault(word(16)),
        EVENT_REMOVE => Event::Removed(word(8), word(16)),
        EVENT_FORK => {
            // The lower half is a descriptor for the child.
            // SAFETY: the kernel has just put it into this process, for us.
            drop(unsafe { OwnedFd::from_raw_fd(word(8) as RawFd) });
            Event::Other(EVENT_FORK)
        }
        other => Event::Other(other),
    }
}

#[repr(C)]
struct Copy {
    dst: u64,
    src: u64,
    len: u64,
    mode: u64,
    copied: i64,
}

#[repr(C)]
struct Range {
    start: u64,
    len: u64,
}

#[repr(C)]
struct Poison {
    range: Range,
    mode: u64,
    updated: i64,
}

/// Gives the process a page, which must be [`PAGE_BYTES`] long, and wakes who
/// waits for it. Nothing if it has that page already.
pub(super) fn copy(fd: BorrowedFd<'_>, address: u64, page: &[u8]) -> io::Result<()> {
    assert_eq!(page.len() as u64, PAGE_BYTES, "a whole page");
    let mut copy =
        Copy { dst: address, src: page.as_ptr() as u64, len: PAGE_BYTES, mode: 0, copied: 0 };
    // SAFETY: `copy` is what this request takes, and `src` holds `len` bytes. The
    // memory at `dst` is the other process's: the kernel checks that it is
    // registered with `fd`, and fills only pages that are missing.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_COPY, &raw mut copy) };
    match (result, io::Error::last_os_error()) {
        (0, _) => Ok(()),
        (_, error) if error.raw_os_error() == Some(libc::EEXIST) => wake(fd, address),
        (_, error) => Err(error),
    }
}

/// Gives the process a page of zeros of its own.
pub(super) fn zero(fd: BorrowedFd<'_>, address: u64) -> io::Result<()> {
    copy(fd, address, &ZEROS)
}

fn wake(fd: BorrowedFd<'_>, address: u64) -> io::Result<()> {
    let mut range = Range { start: address, len: PAGE_BYTES };
    // SAFETY: `range` is what this request takes; it touches no memory.
    match unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_WAKE, &raw mut range) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets the process get `SIGBUS` for a page. Kernels before 6.6 cannot.
pub(super) fn poison(fd: BorrowedFd<'_>, address: u64) -> io::Result<()> {
    let range = Range { start: address, len: PAGE_BYTES };
    let mut poison = Poison { range, mode: 0, updated: 0 };
    // SAFETY: `poison` is what this request takes; as with `copy`, only missing
    // pages registered with `fd` change.
    match unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_POISON, &raw mut poison) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Has the runtime watch for events, reads of which return at once from now on.
/// Needs a tokio runtime.
pub(super) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    rustix::fs::fcntl_setfl(&fd, flags | rustix::fs::OFlags::NONBLOCK)?;
    // SAFETY: an `OwnedFd` is one and the same open descriptor until it is dropped.
    Ok(unsafe { AsyncFd::register(fd)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_the_kernel_lays_them_out() {
        let mut message = [0; MESSAGE_BYTES];
        message[0] = EVENT_PAGEFAULT;
        message[8..16].copy_from_slice(&1u64.to_ne_bytes());
        message[16..24].copy_from_slice(&0x7000u64.to_ne_bytes());
        assert_eq!(event(&message), Event::Fault(0x7000));
        message[0] = EVENT_REMOVE;
        assert_eq!(event(&message), Event::Removed(1, 0x7000));
        message[0] = 0x16;
        assert_eq!(event(&message), Event::Other(0x16));
    }
}
