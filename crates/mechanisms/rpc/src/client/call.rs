//! A call, and what became of it.

use super::channel::Channel;
use super::connection::Connection;
use super::send::{Failure, send};
use crate::codec::{PackError, pack, unpack};
use crate::error::{CallError, Lost, NotSent, Refusal};
use crate::limits::CHANNEL_CALLS_MAX;
use crate::method::Method;
use crate::outcome::{Said, said};
use hyper::client::conn::http2::SendRequest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::body::Body;

/// What went wrong, before it is said with whom.
pub(super) enum Wrong {
    NotSent(NotSent),
    Lost(Lost),
    Refused(Refusal),
}

impl From<Said> for Wrong {
    fn from(said: Said) -> Self {
        match said {
            Said::Refused(refusal) => Self::Refused(refusal),
            Said::Lost(lost) => Self::Lost(lost),
        }
    }
}

impl From<PackError> for Wrong {
    fn from(error: PackError) -> Self {
        match error {
            // The peer would say so too, after it was sent all of it.
            PackError::TooLarge { .. } => Self::Refused(Refusal::TooLarge(error.to_string())),
            PackError::Unwritable(_) => Self::NotSent(NotSent::Unwritable(error.into())),
        }
    }
}

/// Why an attempt on a connection came to nothing.
pub(super) enum Failed {
    /// It did not get so far.
    NotSent(NotSent),
    /// It took too long.
    Late,
    /// The peer or the connection said so.
    Status(Status),
}

impl Channel {
    /// Calls a method, and returns what it answers.
    ///
    /// Not cancel-safe: if this is dropped, the call may happen all the same.
    pub async fn call<Req, Answer>(
        &self,
        method: &Method,
        request: &Req,
        deadline: Instant,
    ) -> Result<Answer, CallError>
    where
        Req: Serialize + Sync + ?Sized,
        Answer: DeserializeOwned,
    {
        let called = self.attempt_call(method, request, deadline).await;
        called.map_err(|wrong| self.error(method, wrong))
    }

    async fn attempt_call<Req, Answer>(
        &self,
        method: &Method,
        request: &Req,
        deadline: Instant,
    ) -> Result<Answer, Wrong>
    where
        Req: Serialize + Sync + ?Sized,
        Answer: DeserializeOwned,
    {
        let packed = pack(request, method.request_max())?;
        let _room = self.room()?;
        let sent = self.attempt(deadline, |sender| send(sender, method, packed.clone())).await;
        match sent {
            Ok((answer, _)) => unpack(&answer).map_err(|e| Wrong::Lost(Lost::Garbled(e.into()))),
            Err(Failed::NotSent(why)) => Err(Wrong::NotSent(why)),
            Err(Failed::Late) => Err(Wrong::Lost(Lost::Deadline)),
            Err(Failed::Status(status)) => Err(meaning(status)),
        }
    }

    /// Says with whom it went wrong.
    pub(super) fn error(&self, method: &Method, wrong: Wrong) -> CallError {
        let (method, address) = (method.path(), self.shared_address());
        match wrong {
            Wrong::NotSent(source) => CallError::NotSent { method, address, source },
            Wrong::Lost(source) => CallError::Lost { method, address, source },
            Wrong::Refused(source) => CallError::Refused { method, address, source },
        }
    }

    /// Room for one call, or one stream.
    pub(super) fn room(&self) -> Result<OwnedSemaphorePermit, Wrong> {
        let too_many = |_| Wrong::NotSent(NotSent::TooManyCalls { max: CHANNEL_CALLS_MAX });
        Arc::clone(self.calls()).try_acquire_owned().map_err(too_many)
    }

    /// Attempts something on the connection, which is made if there is none.
    pub(super) async fn attempt<T, F>(
        &self,
        deadline: Instant,
        once: impl Fn(SendRequest<Body>) -> F,
    ) -> Result<(T, Arc<Connection>), Failed>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        // A connection may end just as it is to be used: then there is another.
        let mut is_second = false;
        loop {
            let connected = timeout_at(deadline, self.connection()).await;
            let connected = connected.map_err(|_| Failed::NotSent(NotSent::Deadline))?;
            let no_connection = |error| Failed::NotSent(NotSent::Connect(error));
            let connection = connected.map_err(no_connection)?;
            match timeout_at(deadline, once(connection.sender())).await {
                Err(_) => return Err(Failed::Late),
                Ok(Ok(done)) => return Ok((done, connection)),
                Ok(Err(Failure::Status(status))) => return Err(Failed::Status(status)),
                Ok(Err(Failure::Never(status))) if is_second => {
                    return Err(Failed::NotSent(NotSent::ConnectionEnded(status.into())));
                }
                Ok(Err(Failure::Never(_))) => is_second = true,
            }
        }
    }
}

/// What a status means that came after the request had gone out.
pub(super) fn meaning(status: Status) -> Wrong {
    said(&status).map_or_else(|| Wrong::Lost(Lost::Broken(status)), Wrong::from)
}
