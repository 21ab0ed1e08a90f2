//! Streams of gathered questions: each message is a batch of them, answered at once, where
//! it was read, by one message.
//!
//! ```text
//!  reading ──batch──► answered, reading on
//!     │ stop: one message without bytes says so
//!     ▼
//!  the last ──batch──► answered, reading on
//!     │ the client ends its side, or its time is over
//!     ▼
//!  the end: what was read is answered, what was not did not happen
//! ```
//!
//! A stream may stay open for as long as both nodes live: whether its peer may ask is looked
//! at for every batch.

use super::answer::{NoAnswer, Shared};
use crate::limits::STREAM_ENDS_MAX;
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
use tokio::task::coop;
use tokio::time::{Sleep, sleep};
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
}

impl StreamingService<Bytes> for Serve {
    type Response = Bytes;
    type ResponseStream = Answers;
    type Future = Ready<Result<Response<Answers>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let Self { shared, method, handler, peer, stop } = self;
        ready(Ok(Response::new(Answers {
            shared: shared.clone(),
            method: *method,
            handler: handler.clone(),
            peer: peer.clone(),
            batches: request.into_inner(),
            stage: Stage::Reading(Box::pin(stop.clone().cancelled_owned())),
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
}

enum Stage {
    /// Until the server stops.
    Reading(Pin<Box<WaitForCancellationFutureOwned>>),
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
        // One connection's batches do not keep all others waiting.
        let turn = ready!(coop::poll_proceed(context));
        match Pin::new(&mut me.batches).poll_next(context) {
            Poll::Ready(Some(batch)) => {
                turn.made_progress();
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
            Poll::Pending => Poll::Pending,
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
            Stage::Reading(stopped) => {
                ready!(stopped.as_mut().poll(context));
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
