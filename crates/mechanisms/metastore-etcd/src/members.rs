//! The members of etcd, and asking them.
//!
//! One is preferred. If it does not answer in time, the next becomes so: any member can
//! do everything, as long as most of them live.

use crate::error::{EtcdError, Meaning, OpenError, meaning};
use crate::options::EtcdTls;
use crate::wire::Call;
use hearth_ambient::random;
use hearth_services::metastore::{KEY_BYTES_MAX, TXN_BYTES_MAX, VALUE_BYTES_MAX};
use http::Uri;
use http::uri::PathAndQuery;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// How long one member may take to answer: a member that hangs costs this once. What
/// etcd writes it syncs first, which takes milliseconds.
pub(crate) const ATTEMPT_MAX: Duration = Duration::from_secs(2);
/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How often a connection is checked; etcd cuts those that do so more often than this.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long the answer to that may take: a watch of a member that hangs goes on at
/// another after at most both.
const PING_MAX: Duration = Duration::from_secs(3);
/// The pause after every member failed; doubled each time.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// Entries that one answer holds at most.
pub(crate) const PAGE_ENTRIES: usize = 128;
/// The largest answer: a page of the largest entries, with what protocol and namespace
/// add to each.
const ANSWER_BYTES_MAX: usize = PAGE_ENTRIES * (VALUE_BYTES_MAX + KEY_BYTES_MAX + 512);
const _: () = assert!(ANSWER_BYTES_MAX > 2 * TXN_BYTES_MAX, "a fragment of a watch fits");

/// The members.
#[derive(Debug)]
pub(crate) struct Members {
    channels: Vec<Channel>,
    preferred: AtomicUsize,
    patience: Duration,
}

/// Why a call that may not be repeated failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It did not happen.
    Never(EtcdError),
    /// It may have happened, or may still.
    Unclear(Status),
}

impl Members {
    /// Connects to none of them yet.
    pub(crate) fn new(
        addresses: Vec<Uri>,
        tls: Option<&EtcdTls>,
        patience: Duration,
    ) -> Result<Self, OpenError> {
        let connect = |address: Uri| {
            let endpoint = Endpoint::from(address)
                .connect_timeout(CONNECT_MAX)
                .http2_keep_alive_interval(PING_INTERVAL)
                .keep_alive_timeout(PING_MAX)
                .keep_alive_while_idle(true);
            let secured = match tls {
                Some(tls) => endpoint.tls_config(tls.config()).map_err(OpenError::BadTls)?,
                None => endpoint,
            };
            Ok(secured.connect_lazy())
        };
        // Not all clients at the first one.
        let start = usize::from(random::bytes::<1>()[0]) % addresses.len();
        let channels = addresses.into_iter().map(connect).collect::<Result<_, _>>()?;
        Ok(Self { channels, preferred: AtomicUsize::new(start), patience })
    }

    /// How long a call is tried.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Asks what may be asked twice.
    pub(crate) async fn ask<C: Call>(&self, call: C) -> Result<C::Answer, EtcdError> {
        self.ask_by(ATTEMPT_MAX, |channel| unary(channel, call.clone())).await
    }

    /// The same, for what is asked in a way of its own, of each member for so long at most.
    pub(crate) async fn ask_by<T, F>(
        &self,
        attempt_max: Duration,
        attempt: impl Fn(Channel) -> F,
    ) -> Result<T, EtcdError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let is_final = |meaning| meaning == Meaning::Refused;
        self.persist(attempt_max, attempt, is_final).await.map_err(|stopped| {
            match stopped.meaning {
                Meaning::Refused => EtcdError::Refused(stopped.status),
                _ => EtcdError::Unavailable(self.patience, stopped.status),
            }
        })
    }

    /// Asks what may be done only once: goes on only while it certainly was not.
    pub(crate) async fn ask_once<C: Call>(&self, call: C) -> Result<C::Answer, Failure> {
        let attempt = |channel| unary(channel, call.clone());
        let is_final = |meaning| meaning != Meaning::NotNow;
        self.persist(ATTEMPT_MAX, attempt, is_final).await.map_err(|stopped| {
            match stopped.meaning {
                Meaning::Refused => Failure::Never(EtcdError::Refused(stopped.status)),
                Meaning::NotNow => {
                    Failure::Never(EtcdError::Unavailable(self.patience, stopped.status))
                }
                Meaning::Unclear => Failure::Unclear(stopped.status),
            }
        })
    }

    /// Tries one member after the other until one answers, an error is final, or
    /// patience ends.
    async fn persist<T, F>(
        &self,
        attempt_max: Duration,
        attempt: impl Fn(Channel) -> F,
        is_final: impl Fn(Meaning) -> bool,
    ) -> Result<T, Stopped>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let deadline = Instant::now() + self.patience;
        let mut pause = PAUSE;
        for tried in 1usize.. {
            let (at, channel) = self.preferred();
            let status = match within(attempt_max, attempt(channel)).await {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            let meaning = meaning(&status);
            if meaning != Meaning::Refused {
                tracing::debug!(member = at, %status, "a member of etcd failed");
                self.prefer_next(at);
            }
            if is_final(meaning) {
                return Err(Stopped { meaning, status });
            }
            let is_round = tried.is_multiple_of(self.channels.len());
            let wait = if is_round { pause } else { Duration::ZERO };
            if Instant::now() + wait >= deadline {
                return Err(Stopped { meaning, status });
            }
            if is_round {
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
        unreachable!("patience ends before numbers do")
    }

    /// The member to ask.
    pub(crate) fn preferred(&self) -> (usize, Channel) {
        let at = self.preferred.load(Ordering::Relaxed);
        (at, self.channels[at].clone())
    }

    /// The one at `failed` did not answer; whoever notices first moves on.
    pub(crate) fn prefer_next(&self, failed: usize) {
        let next = (failed + 1) % self.channels.len();
        let (order, old) = (Ordering::Relaxed, failed);
        if self.preferred.compare_exchange(old, next, order, order).is_ok() && next != failed {
            // Where all are gone, this comes again and again: what fails is said elsewhere.
            tracing::debug!(failed, next, "going on with another member of etcd");
        }
    }
}

/// Where trying ended.
struct Stopped {
    meaning: Meaning,
    status: Status,
}

/// A client that takes the largest answers.
pub(crate) async fn grpc(channel: Channel) -> Result<Grpc<Channel>, Status> {
    let mut grpc = Grpc::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
    Ok(grpc)
}

async fn unary<C: Call>(channel: Channel, call: C) -> Result<C::Answer, Status> {
    let path = PathAndQuery::from_static(C::PATH);
    let answer = grpc(channel).await?.unary(Request::new(call), path, ProstCodec::new()).await?;
    Ok(answer.into_inner())
}

/// The same, but an error if it takes too long.
pub(crate) async fn within<T>(
    max: Duration,
    attempt: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let late = |_| Status::deadline_exceeded(format!("no answer within {max:?}"));
    timeout(max, attempt).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
}
