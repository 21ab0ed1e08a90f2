//! Small calls that are made often, gathered: what comes while others are under way goes
//! out together, so that a busy peer handles one message where it would have handled many.
//!
//! ```text
//!  callers ──► waiting ──► a few batches under way, each of all that waited ──► answers, in order
//! ```
//!
//! Batches and answers are the messages of one stream that stays open: a call for each would
//! cost several times as much. A question that finds less than two batches under way goes out
//! alone and at once: nobody waits for company. When a batch fails, the stream is given up, and
//! all that wait fail with it, unsent: who asks looks for another peer then, and does not stand
//! in line before one that is gone. A peer that stops says so, answers what it was sent, and
//! what waits goes over the next stream.

use super::asking::{Way, ask_on};
use super::batch::Caller;
use super::channel::Channel;
use crate::error::CallError;
use crate::limits::CHANNEL_CALLS_MAX;
use crate::method::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// The way to one peer for questions of one method, which is served as
/// [`Router::gathered`](crate::Router::gathered). For what is answered at once: the slowest of a list is waited for
/// by all. Cheap to clone.
#[derive(Debug)]
pub struct Gather<Q, A> {
    waiting: mpsc::Sender<(Q, Caller<A>)>,
}

impl<Q, A> Clone for Gather<Q, A> {
    fn clone(&self) -> Self {
        Self { waiting: self.waiting.clone() }
    }
}

/// Why a question has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GatheredError {
    /// It was not sent.
    #[error("more than {CHANNEL_CALLS_MAX} questions wait for the peer")]
    TooMany,
    /// What became of the batch that it went with, or waited for.
    #[error(transparent)]
    Call(Arc<CallError>),
    /// It may have been acted upon.
    #[error("the peer answered {answers} of {questions} questions")]
    Uneven {
        /// How many answers came.
        answers: usize,
        /// To how many questions.
        questions: usize,
    },
}

impl<Q, A> Gather<Q, A>
where
    Q: Serialize + Send + Sync + 'static,
    A: DeserializeOwned + Send + 'static,
{
    /// Over `channel`. Each batch may take as long as `call_max`.
    pub fn new(channel: Channel, method: Method, call_max: Duration) -> Self {
        let (waiting, questions) = mpsc::channel(CHANNEL_CALLS_MAX);
        // It ends with the last of those that ask.
        let way = Way { channel, method, call_max };
        drop(hearth_tasks::spawn("rpc gather", ask_on(way, questions)));
        Self { waiting }
    }

    /// Asks. Not cancel-safe: if this is dropped, it may be acted upon all the same.
    pub async fn ask(&self, question: Q) -> Result<A, GatheredError> {
        let (answer, answered) = oneshot::channel();
        self.waiting.try_send((question, answer)).map_err(|_| GatheredError::TooMany)?;
        let uneven = GatheredError::Uneven { answers: 0, questions: 1 };
        answered.await.unwrap_or(Err(uneven))
    }
}
