//! Reads request bodies, bounded in size and in time, and bounds what bodies,
//! in and out, may hold in memory.
//!
//! ```text
//!               counts in         until
//! claimed body  strangers' room   its signature is verified
//! proven body   callers' room     the call, and all that it was handed to, is done
//! answer        callers' room     the client has taken it
//! ```
//!
//! Whoever knows an access key's id can claim to be its owner until the body is
//! read, unless the head declares the body's hash. So claimed bodies have a room
//! of their own: forgeries cannot take what proven callers need.

use crate::FrontendOptions;
use crate::options::BODY_BYTES_PER_S_MIN;
use crate::room::{Full, Held, Room};
use bytes::Bytes;
use hearth_types::AccountId;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

/// Bodies up to this size are not counted: the bound on connections bounds them.
const SMALL_BYTES_MAX: usize = 64 * 1024;
/// A body that takes longer than this is slow, and of slow ones an account gets
/// no more than its share: each holds a connection that others may need.
const PROMPT: Duration = Duration::from_secs(1);
/// Enough for the share of one account to be one.
const SLOW_MIN: usize = 2;
/// What is read and thrown away of a refused body, so that the client gets to
/// read the refusal instead of a reset connection.
const DRAIN_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// How long that may take.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);
/// How many may be drained at once; of the others the connection is closed. It
/// is strangers' bodies mostly, so they get few of the connections.
const DRAINS_MAX: usize = 64;

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is over the operation's bound; with its declared length.
    TooLarge(Option<u64>),
    /// The client stalled, or was slower than the slowest that is put up with.
    TooSlow,
    /// The client went away, or sent something that is no body.
    Broken,
    /// No room among all the bodies in memory.
    NoRoom,
}

impl From<Full> for BodyError {
    fn from(_: Full) -> Self {
        Self::NoRoom
    }
}

/// A body on its way in.
pub(crate) struct Upload {
    body: Incoming,
    /// Whether more of it is on its way: not before the client is told `100
    /// Continue`, which the first read does, and not once the client was slow.
    coming: bool,
    ended: bool,
}

impl Upload {
    pub(crate) fn new(body: Incoming, headers: &HeaderMap) -> Self {
        let ended = body.is_end_stream();
        Self { body, coming: !headers.contains_key(http::header::EXPECT), ended }
    }

    /// Whether all of it was read.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next piece, not empty, if it comes in time.
    async fn next_until(&mut self, until: Instant) -> Result<Option<Bytes>, BodyError> {
        let next = timeout_at(until, self.next()).await;
        next.unwrap_or_else(|_elapsed| {
            self.coming = false;
            Err(BodyError::TooSlow)
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        self.coming = true;
        while !self.ended {
            match self.body.frame().await {
                None => self.ended = true,
                Some(Err(_client)) => return Err(BodyError::Broken),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Ok(Some(data));
                    }
                }
            }
        }
        Ok(None)
    }
}

/// A body in memory.
pub(crate) struct ClaimedBody {
    pub(crate) bytes: Bytes,
    held: Option<Held>,
}

/// Bytes that count until the last reference to them is gone.
struct Counted {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn one(room: &Arc<Room>, account: &AccountId) -> Result<Held, Full> {
    let mut held = room.holder(account);
    held.grow(1)?;
    Ok(held)
}

/// What those who are equally trusted share.
struct Shares {
    bytes: Arc<Room>,
    /// Connections held by the slow.
    slow: Arc<Room>,
}

impl Shares {
    fn new(options: &FrontendOptions) -> Self {
        Self {
            bytes: Room::new(options.payload_bytes_max / 2),
            slow: Room::new((options.connections_max / 2).max(SLOW_MIN)),
        }
    }
}

/// What the bodies of all connections share.
pub(crate) struct Bodies {
    strangers: Shares,
    callers: Shares,
    drains: Semaphore,
    body_timeout: Duration,
    stall_timeout: Duration,
}

impl Bodies {
    pub(crate) fn new(options: &FrontendOptions) -> Self {
        Self {
            strangers: Shares::new(options),
            callers: Shares::new(options),
            drains: Semaphore::new(DRAINS_MAX),
            body_timeout: options.body_timeout,
            stall_timeout: options.stall_timeout,
        }
    }

    /// Reads at most `max` bytes. `account` is whom the request claims to be
    /// from, `proven` whether that is certain.
    pub(crate) async fn read(
        &self,
        upload: &mut Upload,
        max: usize,
        account: &AccountId,
        proven: bool,
    ) -> Result<ClaimedBody, BodyError> {
        let declared = upload.body.size_hint().exact();
        if declared.is_some_and(|length| length > max as u64) {
            return Err(BodyError::TooLarge(declared));
        }
        let expected = declared.map_or(max, |length| length as usize);
        let shares = if proven { &self.callers } else { &self.strangers };
        let began = Instant::now();
        let mut slow = None;
        let (mut first, mut rest, mut held) = (Bytes::new(), Vec::new(), None);
        loop {
            let so_far = first.len() + rest.len();
            let slowest = Duration::from_secs((so_far / BODY_BYTES_PER_S_MIN) as u64);
            let deadline = began + self.body_timeout + slowest;
            let until = deadline.min(Instant::now() + self.stall_timeout);
            let prompt = if slow.is_none() { until.min(began + PROMPT) } else { until };
            let data = match upload.next_until(prompt).await {
                Err(BodyError::TooSlow) if prompt < until => {
                    slow = Some(one(&shares.slow, account)?);
                    continue;
                }
                next => next?,
            };
            let Some(data) = data else { break };
            let needed = so_far + data.len();
            if needed > max {
                return Err(BodyError::TooLarge(None));
            }
            // Most bodies are one piece, and that one is not copied.
            if so_far == 0 {
                first = data;
                continue;
            }
            if needed > rest.capacity() {
                // What is allocated is what is counted.
                let capacity = expected.min(needed.max(SMALL_BYTES_MAX / 2) * 2);
                if capacity > SMALL_BYTES_MAX {
                    let held = held.get_or_insert_with(|| shares.bytes.holder(account));
                    held.grow(capacity - held.count())?;
                }
                rest.reserve_exact(capacity - rest.len());
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
        let bytes = if rest.is_empty() { first } else { rest.into() };
        Ok(ClaimedBody { bytes, held })
    }

    /// The bytes of a body whose signature is verified. They count until nobody
    /// needs them any more.
    pub(crate) fn keep(&self, body: ClaimedBody) -> Result<Bytes, BodyError> {
        let ClaimedBody { bytes, held } = body;
        match held {
            None => Ok(bytes),
            Some(held) => {
                Ok(Bytes::from_owner(Counted { bytes, _held: held.moved(&self.callers.bytes)? }))
            }
        }
    }

    /// Counts an answer until the client has taken it. It is there and its
    /// function has run, so it is not refused: its account's next calls are.
    pub(crate) fn answer(&self, account: &AccountId, bytes: Bytes) -> Bytes {
        if bytes.len() <= SMALL_BYTES_MAX {
            return bytes;
        }
        let mut held = self.callers.bytes.holder(account);
        held.charge(bytes.len());
        Bytes::from_owner(Counted { bytes, _held: held })
    }

    /// Whether an account holds more than its share, so that nothing that may
    /// have a large answer should be run for it.
    pub(crate) fn is_over(&self, account: &AccountId) -> bool {
        self.callers.bytes.is_over(account)
    }

    /// A place among an account's slow answers: those that are streamed, however
    /// slowly the client takes them.
    pub(crate) fn streamed(&self, account: &AccountId) -> Result<Held, Full> {
        one(&self.callers.slow, account)
    }

    /// Throws away what is left of a refused body, within bounds.
    pub(crate) async fn drain(&self, upload: &mut Upload) {
        if !upload.coming || upload.has_ended() {
            return;
        }
        let Ok(_one_of_few) = self.drains.try_acquire() else { return };
        let read = async {
            let mut left = DRAIN_BYTES_MAX;
            while let Ok(Some(data)) = upload.next().await {
                match left.checked_sub(data.len() as u64) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        // Whether it was all read or not, the refusal is sent next.
        let _finished = timeout(DRAIN_TIME_MAX, read).await;
    }
}
