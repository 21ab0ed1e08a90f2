//! The task of a [`Gather`](super::gather::Gather): it opens a stream to the peer once
//! somebody asks, and again once that has ended.
//!
//! ```text
//!  idle ──asked──► opening ──► talking ──the peer stops, all are answered──► idle
//!                     │           │
//!                     └───────────┴──it fails, or is late: all are told──► idle
//! ```

use super::batch::{Batch, Caller};
use super::call::Wrong;
use super::channel::Channel;
use super::exchange::Exchange;
use super::gather::GatheredError;
use super::talk::Talk;
use crate::error::NotSent;
use crate::limits::{GATHERED_AT_ONCE_MAX, GATHERED_MAX};
use crate::method::Method;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Where questions go, and how.
pub(super) struct Way {
    pub(super) channel: Channel,
    pub(super) method: Method,
    /// How long an answer may take.
    pub(super) call_max: Duration,
}

/// Questions, and who waits for their answers.
pub(super) struct Questions<Q, A> {
    asked: mpsc::Receiver<(Q, Caller<A>)>,
    /// Those that go out next.
    waiting: Vec<(Q, Caller<A>)>,
}

/// A batch that certainly has not gone out.
pub(super) struct Unsent<A> {
    pub(super) batch: Batch<A>,
    pub(super) packed: Bytes,
    /// A stream ended just as this was to go out.
    pub(super) is_second: bool,
}

/// Asks until the last of those that do is gone.
pub(super) async fn ask_on<Q, A>(way: Way, asked: mpsc::Receiver<(Q, Caller<A>)>)
where
    Q: Serialize + Send + Sync + 'static,
    A: DeserializeOwned + Send + 'static,
{
    let mut questions = Questions { asked, waiting: Vec::new() };
    let mut left = None;
    loop {
        let first = match left.take() {
            Some(first) => first,
            None => match questions.next(&way).await {
                Some(Ok(first)) => first,
                Some(Err(())) => continue,
                None => return,
            },
        };
        let deadline = first.batch.deadline;
        let opened =
            Exchange::open(&way.channel, &way.method, GATHERED_AT_ONCE_MAX, deadline).await;
        left = match opened {
            Ok(exchange) => Talk::new(&way, &mut questions, exchange).hold(first).await,
            Err(wrong) => {
                questions.fail(&way, [first.batch], &way.error(wrong));
                None
            }
        };
    }
}

impl Way {
    /// Says with whom it went wrong.
    pub(super) fn error(&self, wrong: impl Into<Wrong>) -> GatheredError {
        GatheredError::Call(Arc::new(self.channel.error(&self.method, wrong.into())))
    }

    /// Says that it was not sent, as what was before it failed.
    pub(super) fn unsent(&self, failed: &GatheredError) -> GatheredError {
        let why = NotSent::ConnectionEnded(Box::new(failed.clone()));
        self.error(Wrong::NotSent(why))
    }
}

impl<Q: Serialize, A> Questions<Q, A> {
    /// All that wait, at most as many as go together, once there are any; none if nobody can
    /// ask any more. An error says that they could not be packed, and were told. Cancel-safe.
    pub(super) async fn next(&mut self, way: &Way) -> Option<Result<Unsent<A>, ()>> {
        if self.asked.recv_many(&mut self.waiting, GATHERED_MAX).await == 0 {
            return None;
        }
        let deadline = Instant::now() + way.call_max;
        let (batch, packed) = Batch::pack(&mut self.waiting, way.method.request_max(), deadline);
        Some(match packed {
            Ok(packed) => Ok(Unsent { batch, packed, is_second: false }),
            Err(error) => {
                batch.fail(&way.error(error));
                Err(())
            }
        })
    }

    /// Tells these that there is no answer, and all that wait that they were not sent.
    pub(super) fn fail(
        &mut self,
        way: &Way,
        batches: impl IntoIterator<Item = Batch<A>>,
        failed: &GatheredError,
    ) {
        batches.into_iter().for_each(|batch| batch.fail(failed));
        let unsent = way.unsent(failed);
        while let Ok((_, caller)) = self.asked.try_recv() {
            // One that is gone wants no answer.
            let _gone = caller.send(Err(unsent.clone()));
        }
    }
}
