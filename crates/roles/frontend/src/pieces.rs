//! A body in memory, handed to the connection piece by piece. So the connection
//! knows until the last piece that a response is on its way, and a slow client
//! has to take no more than a piece at a time.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Large enough that most responses are one, and that a system call for each
/// costs nothing next to copying it.
const PIECE_BYTES: usize = 128 * 1024;

/// What is left of the body.
#[derive(Default)]
pub(crate) struct Pieces(Bytes);

impl Pieces {
    pub(crate) fn of(body: Bytes) -> Self {
        Self(body)
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let piece = self.0.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.0.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}
