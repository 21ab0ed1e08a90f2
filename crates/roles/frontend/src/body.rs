//! Reads request bodies: bounded in size, in time, and in what all of them
//! together may hold in memory.

use crate::options::{BODIES_BYTES_MAX, BODY_BYTES_PER_S_MIN, BODY_TIME_MIN};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

/// Bodies up to this size are not counted: the bound on connections bounds them.
const SMALL_BYTES_MAX: usize = 64 * 1024;
/// Unit of the memory budget.
const BUDGET_UNIT_BYTES: usize = 1024;
/// How long a large body waits for room in the budget.
const BUDGET_WAIT: Duration = Duration::from_secs(20);
/// What is read and thrown away of a refused body, so that the client gets to
/// read the refusal instead of a reset connection.
const DRAIN_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// How long that may take.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is over the operation's bound; with its declared length.
    TooLarge(Option<u64>),
    /// The client stalled, or was slower than the slowest that is put up with.
    TooSlow,
    /// The client went away, or sent something that is no body.
    Broken,
    /// No room among all the bodies being read.
    NoRoom,
}

/// A body and its place in the budget, given back when this is dropped.
pub(crate) struct BoundedBody {
    pub(crate) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// The budget of all connections.
#[derive(Clone)]
pub(crate) struct BodyReader {
    room: Arc<Semaphore>,
    stall_timeout: Duration,
}

impl BodyReader {
    pub(crate) fn new(stall_timeout: Duration) -> Self {
        Self { room: Arc::new(Semaphore::new(BODIES_BYTES_MAX / BUDGET_UNIT_BYTES)), stall_timeout }
    }

    /// Reads at most `max` bytes.
    pub(crate) async fn read(
        &self,
        body: &mut Incoming,
        max: usize,
    ) -> Result<BoundedBody, BodyError> {
        let declared = body.size_hint().exact();
        if declared.is_some_and(|length| length > max as u64) {
            return Err(BodyError::TooLarge(declared));
        }
        let expected = declared.map_or(max, |length| length as usize);
        let room = self.reserve(expected).await?;
        let slowest = Duration::from_secs((expected / BODY_BYTES_PER_S_MIN) as u64);
        let deadline = Instant::now() + BODY_TIME_MIN + slowest;

        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(data) = self.next_data(body, deadline).await? {
            let so_far = first.len() + rest.len();
            if so_far + data.len() > max {
                return Err(BodyError::TooLarge(None));
            }
            // Most bodies are one piece, and that one is not copied.
            if so_far == 0 {
                first = data;
            } else {
                if rest.is_empty() {
                    rest.reserve(declared.map_or(2 * so_far, |d| d as usize));
                    rest.extend_from_slice(&std::mem::take(&mut first));
                }
                rest.extend_from_slice(&data);
            }
        }
        let bytes = if rest.is_empty() { first } else { rest.freeze() };
        Ok(BoundedBody { bytes, _room: room })
    }

    async fn next_data(
        &self,
        body: &mut Incoming,
        deadline: Instant,
    ) -> Result<Option<Bytes>, BodyError> {
        loop {
            let until = deadline.min(Instant::now() + self.stall_timeout);
            match timeout_at(until, body.frame()).await {
                Err(_elapsed) => return Err(BodyError::TooSlow),
                Ok(None) => return Ok(None),
                Ok(Some(Err(_client))) => return Err(BodyError::Broken),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    async fn reserve(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, BodyError> {
        if bytes <= SMALL_BYTES_MAX {
            return Ok(None);
        }
        let units = u32::try_from(bytes.div_ceil(BUDGET_UNIT_BYTES)).unwrap_or(u32::MAX);
        let acquired = timeout(BUDGET_WAIT, self.room.clone().acquire_many_owned(units)).await;
        match acquired {
            Ok(Ok(room)) => Ok(Some(room)),
            Ok(Err(_)) | Err(_) => Err(BodyError::NoRoom),
        }
    }
}

/// Throws away what is left of a refused body, within bounds. A client that
/// waits for `100 Continue` has sent nothing and needs none.
pub(crate) async fn drain(body: &mut Incoming, headers: &HeaderMap) {
    if headers.contains_key(http::header::EXPECT) || body.is_end_stream() {
        return;
    }
    let read = async {
        let mut left = DRAIN_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |d| d.len() as u64);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whether it was all read or not, the refusal is sent next.
    let _finished = timeout(DRAIN_TIME_MAX, read).await;
}
