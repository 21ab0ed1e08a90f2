//! What goes on while a stream is open: batches go out, a few at a time, and answers come.

use super::asking::{Questions, Unsent, Way};
use super::batch::Batch;
use super::call::Wrong;
use super::exchange::{Exchange, Heard};
use super::gather::GatheredError;
use crate::codec::unpack;
use crate::error::{Lost, NotSent};
use crate::limits::GATHERED_AT_ONCE_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::pin::pin;
use tokio::time::{Instant, sleep_until};

/// An open stream, and what goes over it.
pub(super) struct Talk<'a, Q, A> {
    way: &'a Way,
    questions: &'a mut Questions<Q, A>,
    exchange: Exchange,
    /// Sent and not answered, the oldest first.
    under_way: VecDeque<Batch<A>>,
    /// What was to be sent when the stream had ended.
    left: Option<Unsent<A>>,
}

impl<'a, Q, A> Talk<'a, Q, A>
where
    Q: Serialize + Send + Sync + 'static,
    A: DeserializeOwned + Send + 'static,
{
    pub(super) fn new(
        way: &'a Way,
        questions: &'a mut Questions<Q, A>,
        exchange: Exchange,
    ) -> Self {
        let under_way = VecDeque::with_capacity(GATHERED_AT_ONCE_MAX);
        Self { way, questions, exchange, under_way, left: None }
    }

    /// Talks until the stream is of no more use. What fails is told so; returns what did not
    /// go out and may go over another.
    pub(super) async fn hold(mut self, first: Unsent<A>) -> Option<Unsent<A>> {
        // Of those under way the oldest is the first that is late. Set anew only when it
        // rings: not for every batch.
        let mut late = pin!(sleep_until(first.batch.deadline));
        self.send(first);
        while self.exchange.is_open() || !self.under_way.is_empty() {
            let has_room = self.exchange.is_open() && self.under_way.len() < GATHERED_AT_ONCE_MAX;
            tokio::select! {
                biased;
                heard = self.exchange.hear() => {
                    if self.take_in(heard).is_break() {
                        break;
                    }
                }
                asked = self.questions.next(self.way), if has_room => match asked {
                    Some(Ok(batch)) => self.send(batch),
                    // They were told.
                    Some(Err(())) => {}
                    None => self.exchange.say_no_more(),
                },
                () = late.as_mut(), if !self.under_way.is_empty() => {
                    let oldest = self.under_way.front().expect("it is not empty").deadline;
                    if oldest <= Instant::now() {
                        self.fail(&self.way.error(Wrong::Lost(Lost::Deadline)));
                        break;
                    }
                    late.as_mut().reset(oldest);
                }
            }
        }
        self.left
    }

    fn send(&mut self, unsent: Unsent<A>) {
        let Unsent { batch, packed, is_second } = unsent;
        match self.exchange.send(packed) {
            Ok(()) => self.under_way.push_back(batch),
            Err(packed) if !is_second => {
                self.left = Some(Unsent { batch, packed, is_second: true });
                self.exchange.say_no_more();
            }
            Err(_) => {
                let why = NotSent::ConnectionEnded("the stream ended first".into());
                self.questions.fail(self.way, [batch], &self.way.error(Wrong::NotSent(why)));
                self.exchange.say_no_more();
            }
        }
    }

    /// Takes in what the peer says; breaks when it will say no more that is of use.
    fn take_in(&mut self, heard: Result<Heard, Wrong>) -> ControlFlow<()> {
        let failed = match heard {
            Ok(Heard::Answer(packed)) => match self.answer(&packed) {
                Ok(()) => return ControlFlow::Continue(()),
                Err(failed) => failed,
            },
            Ok(Heard::Stops) => {
                self.exchange.say_no_more();
                return ControlFlow::Continue(());
            }
            Ok(Heard::Ended) => {
                // What waits may go over the next.
                let why = NotSent::ConnectionEnded("the peer had stopped to read".into());
                let unread = self.way.error(Wrong::NotSent(why));
                self.under_way.drain(..).for_each(|batch| batch.fail(&unread));
                return ControlFlow::Break(());
            }
            Err(wrong) => {
                if self.under_way.is_empty() {
                    // It concerns nobody: the next that asks will see.
                    return ControlFlow::Break(());
                }
                self.way.error(wrong)
            }
        };
        self.fail(&failed);
        ControlFlow::Break(())
    }

    /// Gives the oldest batch its answers.
    fn answer(&mut self, packed: &[u8]) -> Result<(), GatheredError> {
        let garbled = |why| self.way.error(Wrong::Lost(Lost::Garbled(why)));
        let Some(batch) = self.under_way.pop_front() else {
            return Err(garbled("it answers what it was not asked".into()));
        };
        match unpack::<Vec<A>>(packed) {
            Ok(answers) => batch.answer(answers),
            Err(error) => {
                let failed = garbled(error.into());
                batch.fail(&failed);
                Err(failed)
            }
        }
    }

    /// Tells all that are under way that there is no answer, and all that wait that they were
    /// not sent.
    fn fail(&mut self, failed: &GatheredError) {
        if let Some(unsent) = self.left.take() {
            unsent.batch.fail(&self.way.unsent(failed));
        }
        self.questions.fail(self.way, self.under_way.drain(..), failed);
    }
}
