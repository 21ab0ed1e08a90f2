//! Bodies of calls: requests that have to arrive in time, and answers that hold a
//! server's room until they are sent.

use super::admission::Admitted;
use crate::limits::REQUEST_ARRIVES_MAX;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::{Sleep, sleep};
use tonic::Status;

/// A request that is an error if it has not arrived in time.
pub(super) struct InTime {
    body: Incoming,
    /// Set up only for a body that does not arrive at once.
    late: Option<Pin<Box<Sleep>>>,
}

impl InTime {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, late: None }
    }
}

impl Body for InTime {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => {
                let broken = |error| Status::from_error(Box::new(error));
                Poll::Ready(frame.map(|frame| frame.map_err(broken)))
            }
            Poll::Pending => {
                let late = self.late.get_or_insert_with(|| Box::pin(sleep(REQUEST_ARRIVES_MAX)));
                let status = || Status::deadline_exceeded("the request did not arrive in time");
                late.as_mut().poll(context).map(|()| Some(Err(status())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer that holds its call's room until it was sent.
pub(super) struct Holding {
    pub(super) body: tonic::body::Body,
    pub(super) _room: Option<Arc<Admitted>>,
}

impl Body for Holding {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
