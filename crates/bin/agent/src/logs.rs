//! The function's standard output and error, on their way to the worker.
//!
//! Both are one pipe: the log has one order, and draining it before an answer
//! costs one system call.

use crate::link::{HostLink, push_message};
use crate::transport::Transport;
use crate::watched::watch;
use hearth_agent_proto::{FRAME_BODY_BYTES_MAX, FromAgent, encode_bulk};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use tokio::io::unix::AsyncFd;

/// The most that is read from the pipe ahead of an answer: all that a pipe
/// holds (its default capacity), so everything written before the answer is
/// sent before it, and an endless writer cannot hold the answer up.
const DRAIN_BYTES_MAX: usize = 64 * 1024;

/// The reading end of the pipe.
pub(crate) struct LogPipe {
    fd: AsyncFd<OwnedFd>,
    buffer: Mutex<Box<[u8]>>,
}

impl LogPipe {
    /// Wraps a non-blocking pipe end.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        let buffer = Mutex::new(vec![0; FRAME_BODY_BYTES_MAX].into());
        Ok(Self { fd: watch(fd)?, buffer })
    }

    /// Appends what the pipe holds now to `frames`, as log frames.
    pub(crate) fn drain(&self, frames: &mut Vec<u8>) -> io::Result<()> {
        let mut left = DRAIN_BYTES_MAX;
        while left > 0 {
            match self.read(frames, left) {
                Ok(0) => break,
                Ok(n) => left -= n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Sends output as it comes, at the pace the worker takes it; ends when
    /// every writer is gone.
    pub(crate) async fn pump<T: Transport>(&self, link: &HostLink<T>) -> io::Result<()> {
        loop {
            link.drained().await;
            let mut ready = self.fd.readable().await?;
            let mut frames = Vec::new();
            match ready.try_io(|_| self.read(&mut frames, FRAME_BODY_BYTES_MAX)) {
                Ok(Ok(0)) => return Ok(()),
                Ok(Ok(_)) => link.send(frames),
                Ok(Err(e)) => return Err(e),
                Err(_would_block) => {}
            }
        }
    }

    /// Reads once, into one log frame.
    fn read(&self, frames: &mut Vec<u8>, bytes_max: usize) -> io::Result<usize> {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes_max = bytes_max.min(buffer.len());
        let n = rustix::io::retry_on_intr(|| {
            rustix::io::read(self.fd.get_ref(), &mut buffer[..bytes_max])
        })?;
        if n > 0 {
            push_message(&FromAgent::Log { bytes: n as u32 }, frames);
            encode_bulk(&buffer[..n], frames);
        }
        Ok(n)
    }
}
