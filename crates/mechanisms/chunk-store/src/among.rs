//! What lets one process collect at an origin that others use, too: guards know of one
//! process, and nothing is asked of the others.
//!
//! | another process | why a collection here takes nothing that it needs |
//! |---|---|
//! | has a file open | it says so at the origin now and then (`in_use.rs`); one that is silent stops all collections |
//! | opened one since | that was by a name, so the file was a root a short while ago, and collections are apart |
//! | stores a file | what is old there it stores again, so that it is young; and that is looked at once more before it is deleted |
//! | ... in that moment | what is going to be deleted is written down before (`doomed.rs`); who has stored a file reads that, and stores it again |
//! | collects, too | the callers take turns; who comes second sees another generation, and stops |
//!
//! Ages are told by the origin's clock against this machine's, so these are compared first.

use crate::collect::CollectError;
use crate::doomed;
use crate::generation::Generation;
use crate::in_use;
use crate::origin::{Origin, age};
use crate::store::ChunkStore;
use hearth_ambient::clock;
use hearth_chunk_format::ManifestId;
use object_store::ObjectMeta;
use std::collections::BTreeSet;
use std::time::Duration;

/// The processes that use an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Users {
    /// What this one is called among them.
    pub me: String,
    /// All that live, this one included.
    pub all: BTreeSet<String>,
}

/// What has to happen within which time: all of it follows from the grace, which is the
/// longest that anybody takes from storing a file to naming it, twice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace(pub(crate) Duration);

impl Pace {
    pub(crate) fn grace(self) -> Duration {
        self.0
    }

    /// Between two reports of one process: 10 minutes of a day's grace.
    pub(crate) fn report_interval(self) -> Duration {
        (self.0 / 144).max(Duration::from_secs(1))
    }

    /// After as long as this without a report, nobody knows what a process has open.
    pub(crate) fn silent(self) -> Duration {
        (self.0 / 36).max(Duration::from_secs(10))
    }

    /// Between two collections: longer than anybody is silent.
    pub(crate) fn apart(self) -> Duration {
        (self.0 / 24).max(Duration::from_secs(20))
    }

    /// Between two clocks that count as one.
    pub(crate) fn skew_max(self) -> Duration {
        (self.0 / 48).max(Duration::from_secs(5))
    }

    /// Longest that what was written down as doomed may be deleted after that.
    pub(crate) fn doom_max(self) -> Duration {
        (self.0 / 288).max(Duration::from_secs(10))
    }
}

impl ChunkStore {
    /// Whether a collection among these may begin, by clocks and by what they reported:
    /// all that they have open.
    pub(crate) async fn ask_users(
        &self,
        pace: Pace,
        users: &Users,
    ) -> Result<BTreeSet<ManifestId>, CollectError> {
        let origin = &self.shared.levels.origin;
        self.report_use(&users.me).await.map_err(CollectError::Origin)?;
        let reported = in_use::reported(origin, &users.me).await.map_err(CollectError::Origin)?;
        if let Some(skew) = reported.map(|meta| skew(&meta)).filter(|s| *s > pace.skew_max()) {
            return Err(CollectError::Clock(skew));
        }
        if let Some(last) = Generation::meta(origin).await.map_err(CollectError::Origin)? {
            let left = pace.apart().saturating_sub(age(&last));
            if !left.is_zero() {
                return Err(CollectError::TooSoon(left));
            }
        }
        doomed::clear_old(origin, pace).await?;
        in_use::by_all(origin, pace, &users.all).await
    }
}

/// Between this machine's clock and the origin's, by what was written just now.
fn skew(written_now: &ObjectMeta) -> Duration {
    let written = written_now.last_modified.timestamp_millis().max(0) as u64;
    clock::unix_now().abs_diff(Duration::from_millis(written))
}

/// Whether nobody has collected since generation `number`.
pub(crate) async fn is_last(origin: &Origin, number: u64) -> Result<bool, CollectError> {
    let last = Generation::last(origin).await.map_err(CollectError::Origin)?;
    Ok(last.is_none_or(|last| last.number == number))
}
