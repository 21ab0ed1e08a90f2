//! What a collection among several processes is about to delete, written down before.
//!
//! ```text
//!  collection:  doomed/pending/N ─► look at ages once more ─► delete ─► doomed/done/N
//!  writer:      which are over? ─► store ─► is any of it in another one? ─► store again, after
//! ```
//!
//! An object that was stored before its age was looked at is young, and stays. One that
//! was stored after it may be gone; it is in a record that was not over when its writer began,
//! and is there for as long as any writer may take. One of which the collection died is
//! over after a while.

use crate::among::Pace;
use crate::bounds::{DOOMED_LOOK, DOOMED_WAIT};
use crate::collect::CollectError;
use crate::fetch::ReadError;
use crate::origin::{Origin, age};
use crate::record::{self, RECORD_BYTES_MAX};
use crate::stopwatch::Stopwatch;
use futures_util::TryStreamExt;
use hearth_ambient::random;
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;
use std::collections::HashSet;
use tokio::time::{Instant, sleep};

/// Prefix of all records.
const DOOMED: &str = "doomed";
/// Of those whose objects may be deleted at any moment.
const PENDING: &str = "pending";
/// Of those whose objects are gone, or stay.
const DONE: &str = "done";

pub(crate) type Hash = [u8; 32];

/// A record, and objects that may be deleted because they are in it.
pub(crate) struct Doomed<'a> {
    origin: &'a Origin,
    pace: Pace,
    name: String,
    names: &'a HashSet<Hash>,
    since: Stopwatch,
}

impl<'a> Doomed<'a> {
    /// Writes objects down.
    pub(crate) async fn write_down(
        origin: &'a Origin,
        pace: Pace,
        names: &'a HashSet<Hash>,
    ) -> Result<Self, CollectError> {
        // Nobody else's, whoever else collects.
        let (name, since) = (hex::encode(random::bytes::<16>()), Stopwatch::start());
        let put = origin.put(&at(PENDING, &name), &record::encode(names)).await;
        put.map_err(CollectError::Origin)?;
        Ok(Self { origin, pace, name, names, since })
    }

    /// Whether it was written down too long ago for anything to be deleted.
    pub(crate) fn is_over(&self) -> bool {
        self.since.elapsed() > self.pace.doom_max()
    }

    /// All that was to go is gone.
    pub(crate) async fn done(self) -> Result<(), CollectError> {
        let put = self.origin.put(&at(DONE, &self.name), &record::encode(self.names)).await;
        put.map_err(CollectError::Origin)?;
        self.origin.delete(&at(PENDING, &self.name)).await.map_err(CollectError::Origin)
    }
}

/// Fails while another collection may be deleting.
pub(crate) async fn none_is_under_way(origin: &Origin, pace: Pace) -> Result<(), CollectError> {
    let all = Records::now(origin).await.map_err(CollectError::Origin)?;
    let left = all.pending().map(|meta| pace.doom_over().saturating_sub(age(meta))).max();
    match left.filter(|left| !left.is_zero()) {
        Some(left) => Err(CollectError::UnderWay(left)),
        None => Ok(()),
    }
}

/// Deletes records that began before any writer that may still be storing.
pub(crate) async fn forget_old(origin: &Origin, pace: Pace) -> Result<(), CollectError> {
    let all = Records::now(origin).await.map_err(CollectError::Origin)?;
    for meta in all.0.iter().filter(|meta| age(meta) > pace.grace()) {
        origin.delete(&meta.location).await.map_err(CollectError::Origin)?;
    }
    Ok(())
}

/// Records that were over when a write began.
pub(crate) struct Over(HashSet<String>);

impl Over {
    pub(crate) async fn now(origin: &Origin, pace: Pace) -> Result<Self, ReadError> {
        let all = Records::now(origin).await?;
        let mut over = HashSet::new();
        let dead = all.pending().filter(|meta| age(meta) > pace.doom_over());
        over.extend(
            all.done().chain(dead).filter_map(|meta| meta.location.filename()).map(str::to_owned),
        );
        Ok(Self(over))
    }

    /// A record that has any of these names, so that they may be gone.
    pub(crate) async fn other_with(
        &self,
        origin: &Origin,
        names: &HashSet<Hash>,
    ) -> Result<Option<String>, ReadError> {
        for meta in Records::now(origin).await?.0 {
            let Some(name) = meta.location.filename().filter(|name| !self.0.contains(*name)) else {
                continue;
            };
            let mut found = origin.get(&meta.location, RECORD_BYTES_MAX).await?;
            if found.is_none() {
                // Done just now.
                found = origin.get(&at(DONE, name), RECORD_BYTES_MAX).await?;
            }
            // A damaged one may have had any.
            let doomed = found.and_then(|bytes| record::decode::<HashSet<Hash>>(&bytes));
            if doomed.is_none_or(|doomed| !doomed.is_disjoint(names)) {
                return Ok(Some(name.to_owned()));
            }
        }
        Ok(None)
    }
}

/// Returns once a record is over, or after some time.
pub(crate) async fn over(origin: &Origin, pace: Pace, name: &str) -> Result<(), ReadError> {
    let began = Instant::now();
    while !Over::now(origin, pace).await?.0.contains(name) && began.elapsed() < DOOMED_WAIT {
        sleep(DOOMED_LOOK).await;
    }
    Ok(())
}

/// What is written down.
struct Records(Vec<ObjectMeta>);

impl Records {
    async fn now(origin: &Origin) -> Result<Self, ReadError> {
        Ok(Self(origin.list(DOOMED).try_collect().await?))
    }

    fn of(&self, state: &'static str) -> impl Iterator<Item = &ObjectMeta> {
        let is_it = move |meta: &&ObjectMeta| {
            meta.location.parts().nth(1).is_some_and(|part| part.as_ref() == state)
        };
        self.0.iter().filter(is_it)
    }

    fn pending(&self) -> impl Iterator<Item = &ObjectMeta> {
        // Its collection may have died before it deleted the first.
        let done: HashSet<_> = self.done().filter_map(|meta| meta.location.filename()).collect();
        let is_done = move |meta: &&ObjectMeta| {
            meta.location.filename().is_none_or(|name| !done.contains(name))
        };
        self.of(PENDING).filter(is_done)
    }

    fn done(&self) -> impl Iterator<Item = &ObjectMeta> {
        self.of(DONE)
    }
}

fn at(state: &str, name: &str) -> ObjectPath {
    ObjectPath::from_iter([DOOMED, state, name])
}
