//! The socket to one agent, woken only by what the agent says.
//!
//! tokio's own `UnixStream` is also woken each time the VMM takes bytes out of
//! the socket: two context switches between an event and its guest.
#![allow(unsafe_code)]

use bytes::BytesMut;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How much one read takes; with one frame's header it bounds what a guest can
/// make the decoder hold.
const READ_BYTES_MAX: usize = 32 * 1024;

/// A connected stream. Every operation is cancel-safe.
#[derive(Debug)]
pub struct AgentStream(AsyncFd<UnixStream>);

impl AgentStream {
    /// Takes over a connected stream.
    pub fn new(stream: tokio::net::UnixStream) -> io::Result<Self> {
        register(stream.into_std()?, Interest::READABLE).map(Self)
    }

    /// Appends to `buffer` what comes next; 0 bytes when the VMM is gone.
    pub async fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            if let Ok(result) = ready.try_io(|_| self.try_read(buffer)) {
                return result;
            }
        }
    }

    /// Appends to `buffer` what is there, or fails with `WouldBlock`.
    pub fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let before = buffer.len();
        buffer.resize(before + READ_BYTES_MAX, 0);
        let result = self.0.get_ref().read(&mut buffer[before..]);
        buffer.truncate(before + *result.as_ref().unwrap_or(&0));
        result
    }

    /// Writes as many of `bytes` as there is room for, or fails with `WouldBlock`.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_ref().write(bytes)
    }

    /// Writes some of `bytes`.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            // Rare: more than the socket holds. A second descriptor, since each
            // is registered once.
            let socket = self.0.get_ref().try_clone()?;
            let room = register(socket, Interest::WRITABLE)?;
            room.writable().await?.retain_ready();
        }
    }
}

fn register(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    // SAFETY: the socket owns its descriptor, and `AsyncFd` lends it out only by
    // shared reference, so it stays the same one until both are gone.
    Ok(unsafe { AsyncFd::register_with_interest(socket, interest) }?)
}
