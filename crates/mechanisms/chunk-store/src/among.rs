//! What lets one process collect at an origin that others use, too: guards know of one
//! process, and nothing is asked of the others.
//!
//! | another process | why a collection here takes nothing that it needs |
//! |---|---|
//! | has a file open | it says so at the origin now and then (`in_use.rs`); one that is silent stops all collections |
//! | opened one since | that was by a name, so the file was a root a short while ago; two collections find it to be none, and they are apart |
//! | stores a file | what is old there it stores again, so that it is young; and that is looked at once more before it is deleted |
//! | ... in that moment | what is going to be deleted is written down before (`doomed.rs`); who has stored a file reads that, and stores it again |
//! | collects, too | the callers take turns; one generation follows another, and who comes second stops |
//!
//! All of that takes less than a quarter of the grace, by clocks that agree, or comes to
//! nothing.

use crate::collect::CollectError;
use crate::doomed;
use crate::generation::Generation;
use crate::in_use;
use crate::origin::age;
use crate::store::ChunkStore;
use hearth_chunk_format::ManifestId;
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

/// What has to happen within which time: all of it follows from the grace.
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

    /// The last generation tells what had names a short while ago for as long as this.
    pub(crate) fn generation_max(self) -> Duration {
        self.0 / 2
    }

    /// Longest that a file may take to be stored, and a collection to delete.
    pub(crate) fn work_max(self) -> Duration {
        self.0 / 4
    }

    /// Between two clocks that count as one.
    pub(crate) fn skew_max(self) -> Duration {
        (self.0 / 288).max(Duration::from_secs(5))
    }

    /// Longest that what was written down as doomed may be deleted after that.
    pub(crate) fn doom_max(self) -> Duration {
        (self.0 / 720).max(Duration::from_secs(10))
    }

    /// After as long as this a collection that wrote something down deletes nothing of it
    /// any more, by any clock, and what was on its way is there or lost.
    pub(crate) fn doom_over(self) -> Duration {
        3 * self.doom_max() + self.skew_max()
    }
}

impl ChunkStore {
    /// Whether it is time for a collection among several processes.
    pub async fn is_time(&self) -> Result<(), CollectError> {
        let (origin, pace) = (&self.shared.levels.origin, Pace(self.shared.grace));
        doomed::none_is_under_way(origin, pace).await?;
        let last = Generation::meta(origin).await.map_err(CollectError::Origin)?;
        let left = last.map_or(Duration::ZERO, |last| pace.apart().saturating_sub(age(&last)));
        match left.is_zero() {
            true => Ok(()),
            false => Err(CollectError::TooSoon(left)),
        }
    }

    /// Whether a collection among these may begin: if so, all that they have open.
    pub(crate) async fn ask_users(
        &self,
        pace: Pace,
        users: &Users,
    ) -> Result<BTreeSet<ManifestId>, CollectError> {
        let origin = &self.shared.levels.origin;
        self.is_time().await?;
        self.report_use(&users.me).await.map_err(CollectError::Origin)?;
        doomed::forget_old(origin, pace).await?;
        in_use::by_all(origin, pace, &users.all).await
    }
}
