//! Streams of gathered questions: each message is a batch of them, answered at once, where
//! it was read, by one message.
//!
//! ```text
//!  reading ──batch──► answered, reading on
//!     │ the server stops, or nobody asks for long: one message without bytes says so
//!     ▼
//!  the last ──batch──► answered, reading on
//!     │ the client ends its side, or its time is over
//!     ▼
//!  the end: what was read is answered, what was not did not happen
//! ```
//!
//! A stream may stay open for as long as both nodes live and one asks: whether it may is looked
//! at for every batch.

use super::answer::{NoAnswer, Shared};
use crate::limits::{GATHERED_AT_ONCE_MAX, STREAM_ENDS_MAX};
use crate::method::Method;
use crate::outcome::Outcome;
use crate::peer::Peer;
use bytes::Bytes;
use futures_util::Stream;
use std::future::{Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::server::StreamingService;
use tonic::{Code, Request, Response, Status, Streaming};

/// A packed batch in, its packed answers out.
pub(super) type Gathered = Arc<dyn Fn(&Peer, &[u8]) -> Result<Bytes, NoAnswer> + Send + Sync>;

/// Serves one stream.
pub(super) struct Serve {
    pub(super) shared: Arc<Shared>,
    pub(super) method: Method,
    pub(super) handler: Gathered,
    pub(super) peer: Peer,
    pub(super) stop: CancellationToken,
    /// Of its connection.
    pub(super) room: Arc<OwnedSemaphorePermit>,
}

impl StreamingService<Bytes> for Serve {
    type Response = Bytes;
    type ResponseStream = Answers;
    type Future = Ready<Result<Response<Answers>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let Self { shared, method, handler, peer, stop, room } = self;
        let stopped = Box::pin(stop.clone().cancelled_owned());
        let idle = Box::pin(sleep(shared.stream_idle));
        ready(Ok(Response::new(Answers {
            shared: shared.clone(),
            method: *method,
            handler: handler.clone(),
            peer: peer.clone(),
            batches: request.into_inner(),
            stage: Stage::Reading { stopped, idle },
            asked: Instant::now(),
            in_a_row: 0,
            _room: Arc::clone(room),
        })))
    }
}

/// Answers to a stream of batches, in order.
pub(super) struct Answers {
    shared: Arc<Shared>,
    method: Method,
    handler: Gathered,
    peer: Peer,
    batches: Streaming<Bytes>,
    stage: Stage,
    /// When the last batch came.
    asked: Instant,
    /// Batches that were answered without giving the thread to others.
    in_a_row: usize,
    _room: Arc<OwnedSemaphorePermit>,
}

enum Stage {
    /// Until the server stops, or nobody has asked for long.
    Reading {
        stopped: Pin<Box<WaitForCancellationFutureOwned>>,
        idle: Pin<Box<Sleep>>,
    },
    /// The client knows that it stops, and has until then to end its side.
    Last(Pin<Box<Sleep>>),
    Ended,
}

impl Stream for Answers {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let me = &mut *self;
        // However busy its client is, a stop is not missed.
        if let Poll::Ready(said) = me.poll_stage(context) {
            return Poll::Ready(said);
        }
        // One connection's batches do not keep all others waiting. A client of ours has no more
        // under way, and is not held up.
        if me.in_a_row == GATHERED_AT_ONCE_MAX {
            me.in_a_row = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match Pin::new(&mut me.batches).poll_next(context) {
            Poll::Ready(Some(batch)) => {
                me.in_a_row += 1;
                me.asked = Instant::now();
                let answer = batch.map_err(unreadable).and_then(|batch| me.answer(&batch));
                if answer.is_err() {
                    me.stage = Stage::Ended;
                }
                Poll::Ready(Some(answer))
            }
            Poll::Ready(None) => {
                me.stage = Stage::Ended;
                Poll::Ready(None)
            }
            Poll::Pending => {
                me.in_a_row = 0;
                Poll::Pending
            }
        }
    }
}

impl Answers {
    fn answer(&self, batch: &[u8]) -> Result<Bytes, Status> {
        self.shared.may_call(&self.peer, &self.method)?;
        // The stream's task goes on in either case, and sees nothing that a panic left.
        let answered = catch_unwind(AssertUnwindSafe(|| (self.handler)(&self.peer, batch)));
        match answered {
            Ok(Ok(answers)) => Ok(answers),
            Ok(Err(no)) => Err(no.outcome.status(no.text)),
            Err(_) => {
                // The panic's own message went to stderr through the panic hook.
                tracing::error!(method = self.method.path(), "a handler panicked");
                Err(Outcome::Panicked.status("the handler panicked"))
            }
        }
    }

    /// What is said whether or not there is something to read.
    fn poll_stage(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        match &mut self.stage {
            Stage::Reading { stopped, idle } => {
                if stopped.as_mut().poll(context).is_pending() {
                    ready!(idle.as_mut().poll(context));
                    // Set anew only when it rings: not for every batch.
                    let until = self.asked + self.shared.stream_idle;
                    if Instant::now() < until {
                        idle.as_mut().reset(until);
                        ready!(idle.as_mut().poll(context));
                    }
                }
                self.stage = Stage::Last(Box::pin(sleep(STREAM_ENDS_MAX)));
                Poll::Ready(Some(Ok(Bytes::new())))
            }
            Stage::Last(over) => {
                ready!(over.as_mut().poll(context));
                self.stage = Stage::Ended;
                Poll::Ready(None)
            }
            Stage::Ended => Poll::Ready(None),
        }
    }
}

/// Why a stream that cannot be read goes no further.
fn unreadable(status: Status) -> Status {
    match status.code() {
        Code::OutOfRange => Outcome::TooLarge.status(status.message()),
        Code::Internal => Outcome::Garbled.status(status.message()),
        _ => status,
    }
}
