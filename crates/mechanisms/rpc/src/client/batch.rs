//! Questions that go together, and who asked them.

use super::gather::GatheredError;
use crate::codec::{PackError, pack};
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Who waits for an answer.
pub(super) type Caller<A> = oneshot::Sender<Result<A, GatheredError>>;

/// Those who asked, in the order of their questions.
#[derive(Debug)]
pub(super) struct Batch<A> {
    callers: Vec<Caller<A>>,
    /// When an answer is too late.
    pub(super) deadline: Instant,
}

impl<A> Batch<A> {
    /// Packs questions, and keeps who asked them: they have to be told if it fails.
    pub(super) fn pack<Q: Serialize>(
        waiting: &mut Vec<(Q, Caller<A>)>,
        bytes_max: usize,
        deadline: Instant,
    ) -> (Self, Result<Bytes, PackError>) {
        let (questions, callers): (Vec<Q>, Vec<_>) = waiting.drain(..).unzip();
        (Self { callers, deadline }, pack(&questions, bytes_max))
    }

    /// Gives each its answer.
    pub(super) fn answer(self, answers: Vec<A>) -> Result<(), GatheredError> {
        let (answered, questions) = (answers.len(), self.callers.len());
        if answered != questions {
            let uneven = GatheredError::Uneven { answers: answered, questions };
            self.fail(&uneven);
            return Err(uneven);
        }
        for (caller, answer) in self.callers.into_iter().zip(answers) {
            // One that is gone wants no answer.
            let _gone = caller.send(Ok(answer));
        }
        Ok(())
    }

    /// Tells all that there is no answer.
    pub(super) fn fail(self, failed: &GatheredError) {
        for caller in self.callers {
            let _gone = caller.send(Err(failed.clone()));
        }
    }
}
