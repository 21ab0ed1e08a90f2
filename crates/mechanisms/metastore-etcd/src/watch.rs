//! A watch: a stream of one member, and after its end that of another, without a gap.
//!
//! ```text
//! member ─► answers ─► events by revision ─► ready ─► next()
//!             │ may be cut in the middle of       `at`: what comes after this is
//!             │ a revision, by size                     still to be asked for
//!             └ lost: open anew, after `at`
//! ```
//!
//! A member that says nothing is not known to live: pings that etcd permits are too rare to
//! tell. So it is asked how it is, once a second, on the stream itself.
//!
//! The stream is asked for from `at` on and not from behind it, and what was seen is
//! skipped: etcd then says that history is compacted already when only `at` itself is
//! the oldest left. Before 3.4.36 and 3.5.19 compaction can swallow a deletion made by
//! exactly the revision that it compacts to, for those who have not seen that yet.

use crate::error::EtcdError;
use crate::keyspace::Keyspace;
use crate::losses::{LOST_MAX, Losses, Next, PAUSE};
use crate::members::{ATTEMPT_MAX, Members, grpc, within};
use crate::reads::{revision, signed, unsigned};
use crate::wire::{Call, How, KeyValue, WatchCreate, Watched};
use crate::wire::{Changed, Watch as WatchCall, WatchProgress};
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use hearth_services::metastore::{Event, MetaStoreError, Revision, Watch};
use http::uri::PathAndQuery;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::metadata::MetadataValue;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// Has a member that lost the others end its streams, rather than be silent.
const REQUIRE_LEADER: &str = "hasleader";

/// How often a member is asked to say something.
const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// How long it may say nothing; then another is watched.
const SILENCE_MAX: Duration = Duration::from_millis(2500);

/// A watch of one prefix.
pub(crate) struct EtcdWatch {
    members: Arc<Members>,
    keys: Keyspace,
    prefix: String,
    /// All of this revision, and before it, is in `ready` or was taken from there.
    at: Revision,
    ready: VecDeque<Vec<Event>>,
    /// Of the newest revision, which may not be complete.
    partial: Vec<Event>,
    /// The stream, and whose it is.
    stream: Option<(usize, Streaming<Watched>)>,
    /// When it last said something.
    heard: Instant,
    losses: Losses,
    has_ended: bool,
}

impl EtcdWatch {
    /// A watch of what happens after `after`, open at a member.
    pub(crate) async fn open(
        members: Arc<Members>,
        keys: Keyspace,
        prefix: &str,
        after: Revision,
    ) -> Result<Self, EtcdError> {
        let mut watch = Self {
            members,
            keys,
            prefix: prefix.to_owned(),
            at: after,
            ready: VecDeque::new(),
            partial: Vec::new(),
            stream: None,
            heard: Instant::now(),
            losses: Losses::default(),
            has_ended: false,
        };
        let create = watch.create()?;
        let deadline = Instant::now() + watch.members.patience();
        while let Err(status) = watch.connect(&create).await {
            if Instant::now() >= deadline {
                return Err(EtcdError::Unavailable(watch.members.patience(), status));
            }
            sleep(PAUSE).await;
        }
        Ok(watch)
    }

    fn create(&self) -> Result<WatchCreate, EtcdError> {
        Ok(WatchCreate {
            key: self.keys.data(&self.prefix),
            range_end: self.keys.data_end(&self.prefix),
            start_revision: signed(self.at)?.max(1),
            // So that `at` does not stay behind while nothing happens here.
            progress_notify: true,
            fragment: true,
        })
    }

    async fn connect(&mut self, create: &WatchCreate) -> Result<(), Status> {
        let (at, channel) = self.members.preferred();
        let opened = within(ATTEMPT_MAX, async {
            let call = WatchCall { create: Some(create.clone()), progress: None };
            // It goes on asking, for when we end our side the stream ends.
            let calls = stream::iter([call]).chain(stream::unfold((), ask_how_it_is));
            let mut request = Request::new(calls);
            let yes = MetadataValue::from_static("true");
            request.metadata_mut().insert(REQUIRE_LEADER, yes);
            let path = PathAndQuery::from_static(WatchCall::PATH);
            let codec: ProstCodec<WatchCall, Watched> = ProstCodec::new();
            let mut answers =
                grpc(channel).await?.streaming(request, path, codec).await?.into_inner();
            match answers.message().await? {
                Some(first) if first.created && !first.canceled => Ok(answers),
                Some(refused) => Err(Status::unavailable(refused.cancel_reason)),
                None => Err(Status::unavailable("the stream ended")),
            }
        });
        match opened.await {
            Ok(stream) => {
                self.stream = Some((at, stream));
                self.heard = Instant::now();
                self.losses.opened();
                Ok(())
            }
            Err(status) => {
                self.members.prefer_next(at);
                Err(status)
            }
        }
    }

    /// The stream is over, or there was none to be had; what it had not told wholly is
    /// asked for again.
    async fn lose(&mut self, status: Status) -> Result<(), MetaStoreError> {
        if let Some((at, _)) = self.stream.take() {
            tracing::debug!(prefix = self.prefix, member = at, %status, "a watch lost its member");
            self.members.prefer_next(at);
        }
        self.partial.clear();
        match self.losses.lost() {
            Next::AtOnce => {}
            Next::After(pause) => sleep(pause).await,
            Next::GiveUp => return Err(EtcdError::WatchLost(LOST_MAX, status).into()),
        }
        Ok(())
    }

    /// One step towards the next events. Cancel-safe: between its waits all is in `self`.
    async fn step(&mut self) -> Result<(), MetaStoreError> {
        let Some((_, stream)) = &mut self.stream else {
            let create = self.create()?;
            return match self.connect(&create).await {
                Ok(()) => Ok(()),
                Err(status) => self.lose(status).await,
            };
        };
        let answered = timeout_at(self.heard + SILENCE_MAX, stream.message()).await;
        let silent = |_| Err(Status::deadline_exceeded("the member says nothing"));
        self.heard = Instant::now();
        match answered.unwrap_or_else(silent) {
            Ok(Some(answer)) if answer.canceled && answer.compact_revision > 0 => {
                let oldest = unsigned(answer.compact_revision)?;
                Err(MetaStoreError::Compacted { oldest })
            }
            Ok(Some(answer)) if answer.canceled => {
                self.lose(Status::unavailable(answer.cancel_reason)).await
            }
            Ok(Some(answer)) => Ok(self.take(answer)?),
            Ok(None) => self.lose(Status::unavailable("the stream ended")).await,
            Err(status) => self.lose(status).await,
        }
    }

    fn take(&mut self, answer: Watched) -> Result<(), EtcdError> {
        if answer.watch_id == Watched::ASKED {
            // Events of that revision may still be on their way.
            return Ok(());
        }
        let is_progress = answer.events.is_empty() && !answer.created && self.partial.is_empty();
        for changed in answer.events {
            let event = self.event(changed)?;
            if event.revision <= self.at {
                continue;
            }
            if self.partial.first().is_some_and(|first| first.revision != event.revision) {
                self.complete();
            }
            self.partial.push(event);
        }
        if !answer.fragment {
            self.complete();
        }
        if is_progress {
            self.at = self.at.max(revision(answer.header)?);
        }
        Ok(())
    }

    /// All events of the newest revision are here.
    fn complete(&mut self) {
        if let Some(first) = self.partial.first() {
            self.at = first.revision;
            self.ready.push_back(std::mem::take(&mut self.partial));
        }
    }

    fn event(&self, changed: Changed) -> Result<Event, EtcdError> {
        let is_put = changed.how() == How::Put;
        let kv = changed.kv.ok_or(EtcdError::Senseless("an event without a key"))?;
        let KeyValue { key, mod_revision, value } = kv;
        let key = self.keys.key_of(&key)?;
        Ok(Event { revision: unsigned(mod_revision)?, key, value: is_put.then_some(value) })
    }
}

async fn ask_how_it_is((): ()) -> Option<(WatchCall, ())> {
    sleep(ASK_INTERVAL).await;
    Some((WatchCall { create: None, progress: Some(WatchProgress {}) }, ()))
}

#[async_trait]
impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<Vec<Event>, MetaStoreError> {
        loop {
            if let Some(events) = self.ready.pop_front() {
                return Ok(events);
            }
            if self.has_ended {
                return Err(EtcdError::Senseless("nothing follows an error").into());
            }
            if let Err(error) = self.step().await {
                self.has_ended = true;
                return Err(error);
            }
        }
    }
}
