//! The byte stream to the worker, whatever carries it.

use bytes::BytesMut;
use std::future::Future;
use std::io;

/// A non-blocking byte stream. Writes are tried at once and waited for only
/// when the stream is full, so that a warm invoke costs no extra wake-up.
pub(crate) trait Transport: Send + Sync + 'static {
    /// Waits for bytes and appends them to `into`. Zero: the stream is over.
    fn read(&self, into: &mut BytesMut) -> impl Future<Output = io::Result<usize>> + Send;

    /// Writes what fits now; `WouldBlock` if nothing does.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Waits until writing may succeed.
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send;
}

#[cfg(test)]
impl Transport for tokio::net::UnixStream {
    async fn read(&self, into: &mut BytesMut) -> io::Result<usize> {
        loop {
            self.readable().await?;
            match self.try_read_buf(into) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Self::try_write(self, bytes)
    }

    async fn writable(&self) -> io::Result<()> {
        Self::writable(self).await
    }
}
