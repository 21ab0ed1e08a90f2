//! The origin: an object store, asked with bounds on waits, tries and answers.

use crate::blocking::blocking;
use crate::bounds::{ORIGIN_ATTEMPTS, ORIGIN_BACKOFF, ORIGIN_BACKOFF_FACTOR};
use crate::fetch::ReadError;
use crate::metrics;
use crate::object::{Level, Sealed, Unfit};
use crate::unchanged::put_unchanged;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use hearth_ambient::clock;
use object_store::path::Path as ObjectPath;
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// An object store, bounded.
#[derive(Clone)]
pub(crate) struct Origin {
    store: Arc<dyn ObjectStore>,
    wait: Duration,
}

/// The origin did not answer, or with a failure of its own.
#[derive(Debug, thiserror::Error)]
pub enum Unreached {
    /// It said why.
    #[error("the object store failed")]
    Failed(#[source] object_store::Error),
    /// It did not answer.
    #[error("the object store did not answer within {0:?}")]
    TimedOut(Duration),
}

/// One try.
enum Tried<T> {
    Done(T),
    Again(ReadError),
}

impl Origin {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, wait: Duration) -> Self {
        Self { store, wait }
    }

    /// Fetches an object and opens it: its sealed bytes, and what is in them.
    pub(crate) async fn fetch<S: Sealed>(
        &self,
        wanted: &S,
    ) -> Result<(Bytes, S::Opened), ReadError> {
        let started = Instant::now();
        let fetched = persist(|| self.try_fetch(wanted)).await;
        match &fetched {
            Ok((sealed, _)) => metrics::hit(Level::Origin, sealed.len(), Some(started.elapsed())),
            Err(ReadError::Missing(_)) => metrics::missed(Level::Origin),
            Err(ReadError::Corrupt(object)) => {
                metrics::corrupt(Level::Origin);
                tracing::error!(%object, "the origin's copy is corrupt; it is not used");
            }
            Err(_) => {}
        }
        fetched
    }

    async fn try_fetch<S: Sealed>(
        &self,
        wanted: &S,
    ) -> Tried<Result<(Bytes, S::Opened), ReadError>> {
        let object = wanted.object();
        let unreached =
            |why| Tried::Again(ReadError::Unreachable(object.to_string(), Arc::new(why)));
        let path = object.path();
        let got = timeout(self.wait, async {
            let got = self.store.get(&path).await?;
            match got.meta.size <= wanted.sealed_len_max() as u64 {
                true => got.bytes().await.map(Some),
                false => Ok(None),
            }
        });
        let sealed = match got.await {
            Ok(Ok(Some(sealed))) => sealed,
            Ok(Ok(None)) => return Tried::Done(Err(ReadError::Corrupt(object))),
            Ok(Err(object_store::Error::NotFound { .. })) => {
                return Tried::Done(Err(ReadError::Missing(object)));
            }
            Ok(Err(error)) => return unreached(Unreached::Failed(error)),
            Err(_elapsed) => return unreached(Unreached::TimedOut(self.wait)),
        };
        let wanted = wanted.clone();
        match blocking(move || wanted.open(&sealed).map(|opened| (sealed, opened))).await {
            Ok(opened) => Tried::Done(Ok(opened)),
            // It may have been damaged on the way.
            Err(Unfit::Damaged) => Tried::Again(ReadError::Corrupt(object)),
            Err(Unfit::Refused(why)) => Tried::Done(Err(ReadError::Refused(Arc::new(why)))),
        }
    }

    /// Stores bytes, whole or not at all.
    pub(crate) async fn put(&self, path: &ObjectPath, bytes: &Bytes) -> Result<(), ReadError> {
        let put = || self.store.put(path, PutPayload::from_bytes(bytes.clone()));
        self.ask(path, put).await?;
        Ok(())
    }

    /// Stores bytes under a path that is free; whether it was. A try whose answer was lost
    /// may have stored them, and the next one then finds them there.
    pub(crate) async fn create(&self, path: &ObjectPath, bytes: &Bytes) -> Result<bool, ReadError> {
        let create = || async {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let bytes = PutPayload::from_bytes(bytes.clone());
            match self.store.put_opts(path, bytes, options).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        };
        // There is nothing that it could fail to find.
        Ok(self.ask(path, create).await?.unwrap_or(false))
    }

    /// Bytes that no name vouches for: whoever asks checks them. At most `max`.
    pub(crate) async fn get(
        &self,
        path: &ObjectPath,
        max: u64,
    ) -> Result<Option<Bytes>, ReadError> {
        Ok(self.get_with_meta(path, max).await?.map(|(bytes, _)| bytes))
    }

    /// The same, and what is known of the object.
    pub(crate) async fn get_with_meta(
        &self,
        path: &ObjectPath,
        max: u64,
    ) -> Result<Option<(Bytes, ObjectMeta)>, ReadError> {
        let get = || async {
            let got = self.store.get(path).await?;
            let meta = got.meta.clone();
            let bytes = match meta.size <= max {
                true => got.bytes().await?,
                // Never equal to anything that was written.
                false => Bytes::new(),
            };
            Ok((bytes, meta))
        };
        self.ask(path, get).await
    }

    /// Stores bytes in place of what was seen there, if that is so yet; whether it was. See
    /// [`put_unchanged`].
    pub(crate) async fn replace(
        &self,
        path: &ObjectPath,
        bytes: &Bytes,
        seen: &ObjectMeta,
    ) -> Result<bool, ReadError> {
        let replace = || {
            let (e_tag, version) = (seen.e_tag.clone(), seen.version.clone());
            put_unchanged(&*self.store, path, bytes.clone(), UpdateVersion { e_tag, version })
        };
        Ok(self.ask(path, replace).await?.unwrap_or(false))
    }

    /// When the object was last written, or `None` if there is none.
    pub(crate) async fn head(&self, path: &ObjectPath) -> Result<Option<ObjectMeta>, ReadError> {
        self.ask(path, || self.store.head(path)).await
    }

    /// Deletes an object, if it is there.
    pub(crate) async fn delete(&self, path: &ObjectPath) -> Result<(), ReadError> {
        self.ask(path, || self.store.delete(path)).await?;
        Ok(())
    }

    /// All objects under a prefix. It ends with the first error; every wait for
    /// the next one is bounded.
    pub(crate) fn list(
        &self,
        prefix: &'static str,
    ) -> BoxStream<'static, Result<ObjectMeta, ReadError>> {
        let wait = self.wait;
        let unreachable = move |why| ReadError::Unreachable(prefix.to_owned(), Arc::new(why));
        let listing = self.store.list(Some(&ObjectPath::from(prefix)));
        let next = move |state: Option<BoxStream<'static, _>>| async move {
            let mut listing = state?;
            match timeout(wait, listing.next()).await {
                Ok(Some(Ok(meta))) => Some((Ok(meta), Some(listing))),
                Ok(Some(Err(error))) => Some((Err(unreachable(Unreached::Failed(error))), None)),
                Ok(None) => None,
                Err(_elapsed) => Some((Err(unreachable(Unreached::TimedOut(wait))), None)),
            }
        };
        futures_util::stream::unfold(Some(listing), next).boxed()
    }

    /// One question, with tries; `None` if there is no such object.
    async fn ask<T, F>(
        &self,
        path: &ObjectPath,
        question: impl Fn() -> F,
    ) -> Result<Option<T>, ReadError>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        persist(|| async {
            let unreached =
                |why| Tried::Again(ReadError::Unreachable(path.to_string(), Arc::new(why)));
            match timeout(self.wait, question()).await {
                Ok(Ok(answer)) => Tried::Done(Ok(Some(answer))),
                Ok(Err(object_store::Error::NotFound { .. })) => Tried::Done(Ok(None)),
                Ok(Err(error)) => unreached(Unreached::Failed(error)),
                Err(_elapsed) => unreached(Unreached::TimedOut(self.wait)),
            }
        })
        .await
    }
}

/// How long ago an object was written.
pub(crate) fn age(meta: &ObjectMeta) -> Duration {
    let written = meta.last_modified.timestamp_millis().max(0) as u64;
    clock::unix_now().saturating_sub(Duration::from_millis(written))
}

/// Tries until it is done, a few times.
async fn persist<T, F>(attempt: impl Fn() -> F) -> Result<T, ReadError>
where
    F: Future<Output = Tried<Result<T, ReadError>>>,
{
    let mut pause = ORIGIN_BACKOFF;
    for last in (0..ORIGIN_ATTEMPTS).map(|tried| tried + 1 == ORIGIN_ATTEMPTS) {
        match attempt().await {
            Tried::Done(done) => return done,
            Tried::Again(error) if last => return Err(error),
            Tried::Again(_) => sleep(pause).await,
        }
        pause *= ORIGIN_BACKOFF_FACTOR;
    }
    unreachable!("the last try returns")
}
