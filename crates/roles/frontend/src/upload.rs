//! Reads one request's body, bounded in size and in time.

use crate::FrontendOptions;
use crate::fair_share::{Full, Held};
use crate::options::{BODY_BYTES_PER_S_MIN, SMALL_BYTES_MAX};
use crate::payloads::Allowance;
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// A body that takes longer than this is slow: it holds a connection that others
/// may need.
const PROMPT: Duration = Duration::from_secs(1);
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
    /// The account's share of the memory for payloads is in use.
    NoRoom,
    /// It is slow, and the account has as many slow ones as it may.
    TooManySlow,
}

/// A body that came; whether it is the one that was signed is another question.
pub(crate) struct Received {
    pub(crate) bytes: Bytes,
    /// What it takes of an account's share, unless it is small.
    pub(crate) held: Option<Held>,
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

    /// Reads at most `max` bytes, and takes room for them as they come.
    pub(crate) async fn read(
        &mut self,
        max: usize,
        mut allowance: Allowance<'_>,
        options: &FrontendOptions,
    ) -> Result<Received, BodyError> {
        let declared = self.body.size_hint().exact();
        if declared.is_some_and(|length| length > max as u64) {
            return Err(BodyError::TooLarge(declared));
        }
        let expected = declared.map_or(max, |length| length as usize);
        let began = Instant::now();
        let mut slow = None;
        let (mut first, mut rest) = (Bytes::new(), Vec::new());
        loop {
            let so_far = first.len() + rest.len();
            let slowest = Duration::from_secs((so_far / BODY_BYTES_PER_S_MIN) as u64);
            let deadline = began + options.body_timeout + slowest;
            let until = deadline.min(Instant::now() + options.stall_timeout);
            let prompt = if slow.is_none() { until.min(began + PROMPT) } else { until };
            let data = match self.next_until(prompt).await {
                Err(BodyError::TooSlow) if prompt < until => {
                    slow = Some(allowance.be_slow().map_err(|Full| BodyError::TooManySlow)?);
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
                allowance.hold(capacity).map_err(|Full| BodyError::NoRoom)?;
                rest.reserve_exact(capacity - rest.len());
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
        let bytes = if rest.is_empty() { first } else { rest.into() };
        Ok(Received { bytes, held: allowance.into_held() })
    }

    /// Throws away what is left of a refused body, within bounds. Whether that
    /// was all of it or not, the refusal is sent next.
    pub(crate) async fn drain(&mut self) {
        if !self.coming || self.ended {
            return;
        }
        let read = async {
            let mut left = DRAIN_BYTES_MAX;
            while let Ok(Some(data)) = self.next().await {
                match left.checked_sub(data.len() as u64) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        let _finished = timeout(DRAIN_TIME_MAX, read).await;
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
