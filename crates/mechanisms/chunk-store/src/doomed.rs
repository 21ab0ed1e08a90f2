//! What a collection among several processes is about to delete, written down before.
//!
//! ```text
//!  collection:  write down ─► look at its age once more ─► delete ─► cross out
//!  writer:      store it ─► is it written down? ─► yes: wait until it is not, store it again
//! ```
//!
//! Whichever comes second sees the first: an object that was stored before its age was
//! looked at is young, and one that was stored after it is written down by then.
//! What nobody crosses out, as its collection died, says nothing after a while.

use crate::among::Pace;
use crate::bounds::{DOOMED_LOOK, DOOMED_WAIT};
use crate::collect::CollectError;
use crate::fetch::ReadError;
use crate::origin::{Origin, age};
use crate::record::{self, RECORD_BYTES_MAX};
use futures_util::TryStreamExt;
use hearth_ambient::clock;
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Prefix of what is written down.
const DOOMED: &str = "doomed";

type Hash = [u8; 32];

/// Objects that are written down.
pub(crate) struct Doomed {
    origin: Origin,
    path: ObjectPath,
    max: Duration,
    since: Instant,
    /// A machine that was put to sleep counts its time otherwise.
    since_by_clock: Duration,
}

impl Doomed {
    /// Writes down the `part`th of what collection `number` deletes.
    pub(crate) async fn write_down(
        origin: &Origin,
        pace: Pace,
        (number, part): (u64, usize),
        names: &HashSet<Hash>,
    ) -> Result<Self, CollectError> {
        let path = ObjectPath::from_iter([DOOMED.to_owned(), format!("{number}-{part}")]);
        let (since, since_by_clock) = (Instant::now(), clock::unix_now());
        let put = origin.put(&path, &record::encode(names)).await;
        put.map_err(CollectError::Origin)?;
        let (origin, max) = (origin.clone(), pace.doom_max());
        Ok(Self { origin, path, max, since, since_by_clock })
    }

    /// Whether it was written down too long ago for anything to be deleted.
    pub(crate) fn is_over(&self) -> bool {
        let by_clock = clock::unix_now().abs_diff(self.since_by_clock);
        self.since.elapsed().max(by_clock) > self.max
    }

    /// All that was to go is gone.
    pub(crate) async fn cross_out(self) -> Result<(), CollectError> {
        self.origin.delete(&self.path).await.map_err(CollectError::Origin)
    }
}

/// Crosses out what a collection left that died. One that may still be deleting stops
/// the next.
pub(crate) async fn clear_old(origin: &Origin, pace: Pace) -> Result<(), CollectError> {
    for meta in listed(origin).await.map_err(CollectError::Origin)? {
        // Deletions that were on their way are answered or dead by then, by a clock
        // that may be off.
        let left = (3 * pace.doom_max() + pace.skew_max()).saturating_sub(age(&meta));
        if !left.is_zero() {
            return Err(CollectError::TooSoon(left));
        }
        origin.delete(&meta.location).await.map_err(CollectError::Origin)?;
    }
    Ok(())
}

/// Whether any of these was written down when it was stored, so that it may be gone:
/// then this returns once it is crossed out.
pub(crate) async fn were(origin: &Origin, names: &HashSet<Hash>) -> Result<bool, ReadError> {
    let began = Instant::now();
    let mut were = false;
    while is_any(origin, names).await? {
        were = true;
        if began.elapsed() > DOOMED_WAIT {
            break;
        }
        sleep(DOOMED_LOOK).await;
    }
    Ok(were)
}

async fn is_any(origin: &Origin, names: &HashSet<Hash>) -> Result<bool, ReadError> {
    for meta in listed(origin).await? {
        let found = origin.get(&meta.location, RECORD_BYTES_MAX).await?;
        // Crossed out just now, or damaged: it may have been any.
        let doomed = found.and_then(|bytes| record::decode::<HashSet<Hash>>(&bytes));
        if doomed.is_none_or(|doomed| !doomed.is_disjoint(names)) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn listed(origin: &Origin) -> Result<Vec<ObjectMeta>, ReadError> {
    origin.list(DOOMED).try_collect().await
}
