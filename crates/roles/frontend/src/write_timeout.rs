//! A stream whose peer must keep reading: what is buffered has to be taken
//! within a time, however it is dribbled away, so a client that never takes its
//! response, or next to none of it, cannot hold a connection forever.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A stream with a limit on the time from the first write that has to wait until
/// all is written. Its writer flushes whenever it has nothing left to write.
pub(crate) struct WriteTimeout<S> {
    stream: S,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<S> WriteTimeout<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, timer: Box::pin(sleep(limit)), waiting: false }
    }

    /// Passes a write's outcome on, unless it has been waited for for too long.
    fn check<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            return outcome;
        }
        if !self.waiting {
            self.waiting = true;
            self.timer.as_mut().reset(Instant::now() + self.limit);
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.check(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.check(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        if outcome.is_ready() {
            self.waiting = false;
        }
        self.check(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.check(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const LIMIT: Duration = Duration::from_secs(10);

    /// Writes 64 KiB to a peer that takes 1 KiB each `pause`.
    async fn write_to_a_peer_that_pauses(pause: Duration) -> io::Result<()> {
        let (ours, mut peer) = tokio::io::duplex(1024);
        let mut stream = WriteTimeout::new(ours, LIMIT);
        let write = async {
            stream.write_all(&[0; 64 * 1024]).await?;
            stream.flush().await
        };
        let read = async {
            let mut piece = [0; 1024];
            loop {
                tokio::time::sleep(pause).await;
                if peer.read(&mut piece).await? == 0 {
                    return Ok(());
                }
            }
        };
        tokio::select! { written = write => written, read = read => read }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_must_take_all_in_time_and_not_just_some() {
        let steady = write_to_a_peer_that_pauses(Duration::from_millis(100)).await;
        assert!(steady.is_ok());
        for pause in [LIMIT / 2, 2 * LIMIT] {
            let slow = write_to_a_peer_that_pauses(pause).await;
            assert_eq!(slow.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_flush_begins_anew() {
        let (ours, mut peer) = tokio::io::duplex(1024);
        let mut stream = WriteTimeout::new(ours, LIMIT);
        let mut piece = [0; 2048];
        for _ in 0..3 {
            let write = async {
                stream.write_all(&[0; 2048]).await?;
                stream.flush().await
            };
            let read = async {
                tokio::time::sleep(LIMIT / 2).await;
                peer.read_exact(&mut piece).await
            };
            let (written, _) = tokio::join!(write, read);
            written.unwrap();
        }
    }
}
