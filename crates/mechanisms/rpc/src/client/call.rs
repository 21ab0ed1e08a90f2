//! A call, and what became of it.

use super::channel::Channel;
use super::send::{Failure, send};
use crate::codec::{PackError, pack, unpack};
use crate::error::{CallError, Lost, NotSent, Refusal};
use crate::limits::CHANNEL_CALLS_MAX;
use crate::method::Method;
use crate::outcome::{Said, said};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};
use tonic::Status;

/// What went wrong, before it is said with whom.
enum Wrong {
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
        self.attempt_call(method, request, deadline).await.map_err(|wrong| {
            let (method, address) = (method.path(), self.shared_address());
            match wrong {
                Wrong::NotSent(source) => CallError::NotSent { method, address, source },
                Wrong::Lost(source) => CallError::Lost { method, address, source },
                Wrong::Refused(source) => CallError::Refused { method, address, source },
            }
        })
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
        let packed = pack(request, method.request_max()).map_err(|error| match error {
            // The peer would say so too, after it was sent all of it.
            PackError::TooLarge { .. } => Wrong::Refused(Refusal::TooLarge(error.to_string())),
            PackError::Unwritable(_) => Wrong::NotSent(NotSent::Unwritable(error.into())),
        })?;
        let too_many = |_| Wrong::NotSent(NotSent::TooManyCalls { max: CHANNEL_CALLS_MAX });
        let _room = self.calls().try_acquire().map_err(too_many)?;
        // A connection may end just as it is to be used: then there is another.
        let mut is_second = false;
        loop {
            let connected = timeout_at(deadline, self.connection()).await;
            let connected = connected.map_err(|_| Wrong::NotSent(NotSent::Deadline))?;
            let connection = connected.map_err(|error| Wrong::NotSent(NotSent::Connect(error)))?;
            let sent = send(connection.sender(), method, packed.clone());
            match timeout_at(deadline, sent).await {
                Err(_) => return Err(Wrong::Lost(Lost::Deadline)),
                Ok(Ok(answer)) => {
                    return unpack(&answer).map_err(|e| Wrong::Lost(Lost::Garbled(e.into())));
                }
                Ok(Err(Failure::Status(status))) => return Err(meaning(status)),
                Ok(Err(Failure::Never(status))) if is_second => {
                    return Err(Wrong::NotSent(NotSent::ConnectionEnded(status.into())));
                }
                Ok(Err(Failure::Never(_))) => is_second = true,
            }
        }
    }
}

/// What a status means that came after the request had gone out.
fn meaning(status: Status) -> Wrong {
    said(&status).map_or_else(|| Wrong::Lost(Lost::Broken(status)), Wrong::from)
}
