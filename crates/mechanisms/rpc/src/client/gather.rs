//! Small calls that are made often, gathered: what comes while others are under way goes
//! out together, so that a busy peer handles one message where it would have handled many.
//!
//! ```text
//!  callers ──► waiting ──► a few calls under way, each of all that waited ──► answers, in order
//! ```
//!
//! A call that finds less than two under way goes out alone and at once: nobody waits for
//! company. When a call fails, all that wait fail with it, unsent: who asks looks for another
//! peer then, and does not stand in line before one that is gone.

use super::channel::Channel;
use crate::error::CallError;
use crate::limits::{CHANNEL_CALLS_MAX, GATHERED_AT_ONCE_MAX, GATHERED_MAX};
use crate::method::Method;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// The way to one peer for questions of one method, which takes a list of them and answers
/// with as many, in order. For what is answered at once: the slowest of a list is waited for
/// by all. Cheap to clone.
#[derive(Debug)]
pub struct Gather<Q, A> {
    waiting: mpsc::Sender<Waiting<Q, A>>,
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
    /// What became of the call that it went with, or waited for.
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

#[derive(Debug)]
struct Waiting<Q, A> {
    question: Q,
    answer: oneshot::Sender<Result<A, GatheredError>>,
}

impl<Q, A> Gather<Q, A>
where
    Q: Serialize + Send + Sync + 'static,
    A: DeserializeOwned + Send + 'static,
{
    /// Over `channel`. Each call may take as long as `call_max`.
    pub fn new(channel: Channel, method: Method, call_max: Duration) -> Self {
        let (waiting, questions) = mpsc::channel(CHANNEL_CALLS_MAX);
        // It ends with the last of those that ask.
        drop(hearth_tasks::spawn("rpc gather", gather(channel, method, call_max, questions)));
        Self { waiting }
    }

    /// Asks. Not cancel-safe: if this is dropped, it may be acted upon all the same.
    pub async fn ask(&self, question: Q) -> Result<A, GatheredError> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { question, answer };
        self.waiting.try_send(waiting).map_err(|_| GatheredError::TooMany)?;
        let uneven = GatheredError::Uneven { answers: 0, questions: 1 };
        answered.await.unwrap_or(Err(uneven))
    }
}

async fn gather<Q, A>(
    channel: Channel,
    method: Method,
    call_max: Duration,
    mut questions: mpsc::Receiver<Waiting<Q, A>>,
) where
    Q: Serialize + Send + Sync + 'static,
    A: DeserializeOwned + Send + 'static,
{
    let mut under_way = FuturesUnordered::new();
    let mut waiting = Vec::new();
    loop {
        let has_room = under_way.len() < GATHERED_AT_ONCE_MAX;
        tokio::select! {
            biased;
            Some(sent) = under_way.next() => {
                if let Err(failed) = sent {
                    fail_all(&mut questions, &failed);
                }
            }
            received = questions.recv_many(&mut waiting, GATHERED_MAX), if has_room => {
                if received == 0 {
                    break;
                }
                under_way.push(send(&channel, &method, call_max, std::mem::take(&mut waiting)));
            }
        }
    }
    while under_way.next().await.is_some() {}
}

fn fail_all<Q, A>(questions: &mut mpsc::Receiver<Waiting<Q, A>>, failed: &GatheredError) {
    while let Ok(Waiting { answer, .. }) = questions.try_recv() {
        // One that is gone wants no answer.
        let _gone = answer.send(Err(failed.clone()));
    }
}

/// One call for all of these; how it failed, which they were told.
async fn send<Q, A>(
    channel: &Channel,
    method: &Method,
    call_max: Duration,
    waiting: Vec<Waiting<Q, A>>,
) -> Result<(), GatheredError>
where
    Q: Serialize + Send + Sync + 'static,
    A: DeserializeOwned + Send + 'static,
{
    let (questions, callers): (Vec<Q>, Vec<_>) =
        waiting.into_iter().map(|one| (one.question, one.answer)).unzip();
    let called = channel.call::<_, Vec<A>>(method, &questions, Instant::now() + call_max).await;
    let failed = match called {
        Ok(answers) if answers.len() == callers.len() => {
            for (caller, answer) in callers.into_iter().zip(answers) {
                // One that is gone wants no answer.
                let _gone = caller.send(Ok(answer));
            }
            return Ok(());
        }
        Ok(answers) => GatheredError::Uneven { answers: answers.len(), questions: callers.len() },
        Err(error) => GatheredError::Call(Arc::new(error)),
    };
    for caller in callers {
        let _gone = caller.send(Err(failed.clone()));
    }
    Err(failed)
}
