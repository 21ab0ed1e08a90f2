//! One open stream of requests and answers, in order, on one connection.

use super::call::{Failed, Wrong, meaning};
use super::channel::Channel;
use super::connection::Connection;
use super::send::open;
use crate::error::{Lost, NotSent};
use crate::method::Method;
use crate::outcome::said;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Status, Streaming};

/// An open stream. It ends when it is dropped.
pub(super) struct Exchange {
    /// What is to go out; none once no more is to.
    requests: Option<mpsc::Sender<Bytes>>,
    answers: Streaming<Bytes>,
    /// The peer has said so.
    is_stopping: bool,
    /// Kept from closing.
    _connection: Arc<Connection>,
}

/// What the peer says.
pub(super) enum Heard {
    /// The answer to the oldest request that has none.
    Answer(Bytes),
    /// It stops: it answers what it was sent, and wants no more.
    Stops,
    /// It ended the stream as it stops, and did nothing about requests that it has not
    /// answered.
    Ended,
}

impl Exchange {
    /// Opens one with room for so many requests that have no answer. If that fails, no
    /// request was sent.
    pub(super) async fn open(
        channel: &Channel,
        method: &Method,
        requests_max: usize,
        deadline: Instant,
    ) -> Result<Self, Wrong> {
        // Free again once nothing of it can go out any more, also if it is stuck.
        let room = Arc::new(channel.room()?);
        let opened = channel
            .attempt(deadline, |sender| open(sender, method, requests_max, Arc::clone(&room)))
            .await;
        match opened {
            Ok(((requests, answers), connection)) => {
                let (requests, is_stopping) = (Some(requests), false);
                Ok(Self { requests, answers, is_stopping, _connection: connection })
            }
            Err(Failed::NotSent(why)) => Err(Wrong::NotSent(why)),
            Err(Failed::Late) => Err(Wrong::NotSent(NotSent::Deadline)),
            Err(Failed::Status(status)) => Err(match said(&status) {
                Some(said) => said.into(),
                None => Wrong::NotSent(NotSent::ConnectionEnded(status.into())),
            }),
        }
    }

    /// Sends a request, unless the stream has ended: then it has not gone out.
    pub(super) fn send(&self, packed: Bytes) -> Result<(), Bytes> {
        let Some(requests) = &self.requests else { return Err(packed) };
        requests.try_send(packed).map_err(mpsc::error::TrySendError::into_inner)
    }

    /// Sends no more, and lets the peer know.
    pub(super) fn say_no_more(&mut self) {
        self.requests = None;
    }

    /// Whether more may be sent.
    pub(super) fn is_open(&self) -> bool {
        self.requests.is_some()
    }

    /// Waits for the peer to say something. Cancel-safe.
    pub(super) async fn hear(&mut self) -> Result<Heard, Wrong> {
        match self.answers.message().await {
            // No message of ours is without bytes, and that is said once.
            Ok(Some(packed)) if packed.is_empty() => {
                match std::mem::replace(&mut self.is_stopping, true) {
                    false => Ok(Heard::Stops),
                    true => Err(Wrong::Lost(Lost::Garbled("it stops again and again".into()))),
                }
            }
            Ok(Some(packed)) => Ok(Heard::Answer(packed)),
            // A stream that was cut may look as if it had ended; then it has no trailers.
            Ok(None) => match self.answers.trailers().await {
                Ok(Some(_)) if self.is_stopping => Ok(Heard::Ended),
                Ok(_) => Err(meaning(Status::unavailable("the stream was cut"))),
                Err(status) => Err(meaning(status)),
            },
            Err(status) => Err(meaning(status)),
        }
    }
}
