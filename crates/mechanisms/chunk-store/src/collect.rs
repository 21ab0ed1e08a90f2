//! Giving space back, by generations of roots; nothing is counted.
//!
//! ```text
//!  roots given now ──────────┐
//!  roots of the last time ───┤                ┌─► manifests, then chunks, that
//!  manifests younger than ───┼─► mark chunks ─┤   nothing marked, that are older
//!    the grace               │                │   than the grace, and that no write
//!  files open here, also ────┘                └─► stored or found since the start
//!    those closed meanwhile
//! ```
//!
//! Where several processes use the origin, files open elsewhere count as roots
//! (`among.rs`).
//!
//! So a file goes when it was no root for two collections in a row, and nobody
//! here has it open. A crash at any point leaves garbage to the next collection,
//! and never a manifest without its chunks: manifests go first.

use crate::among::{Pace, Users};
use crate::blocking::join;
use crate::fetch::ReadError;
use crate::file::OpenError;
use crate::generation::Generation;
use crate::guards::Hold;
use crate::mark::{Live, Stays};
use crate::stopwatch::Stopwatch;
use crate::store::ChunkStore;
use crate::sweep::Sweep;
use hearth_chunk_format::{ManifestId, Owner};
use std::collections::BTreeSet;
use std::time::Duration;

/// What a collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Chunks that it left for a reason: a root, the grace, or their use.
    pub chunks_live: u64,
    /// Of them, those that no root and no open file needs: they are young, or were
    /// needed the last time, and go later.
    pub chunks_waiting: u64,
    /// Their sealed bytes.
    pub bytes_waiting: u64,
    /// Chunks deleted.
    pub chunks_swept: u64,
    /// Their sealed bytes.
    pub bytes_swept: u64,
    /// Manifests deleted.
    pub manifests_swept: u64,
}

/// A collection stopped. What it did not delete is left to the next one.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// An active root cannot be read, so what it needs is not known. Nothing
    /// was deleted.
    #[error("cannot tell what the root {0} of {1} needs; nothing was deleted")]
    Root(ManifestId, Owner, #[source] OpenError),
    /// The last generation's record is damaged, so its roots are not known. A
    /// new record was begun, and nothing was deleted.
    #[error("the record of the last generation is damaged; nothing was deleted this time")]
    Record,
    /// The origin fails.
    #[error("cannot list, read or delete at the origin")]
    Origin(#[source] ReadError),
    /// A process of the cluster has not said for long what it has open.
    #[error(
        "{0} has not said for long what it has open, so nothing is deleted until it does, or is gone"
    )]
    Silent(String),
    /// What it said is damaged.
    #[error("what {0} said that it has open is damaged; nothing is deleted until it says so again")]
    Report(String),
    /// Processes of a cluster keep files for different times.
    #[error(
        "{who} keeps what it stores for {theirs:?}, and this one for {ours:?}; nothing is deleted \
         until all of them are given the same grace"
    )]
    Grace {
        /// The other one.
        who: String,
        /// Its grace.
        theirs: Duration,
        /// This one's.
        ours: Duration,
    },
    /// Ages cannot be told.
    #[error(
        "the clock of {who} and the object store's are {skew:?} apart; nothing is deleted until \
         they are set"
    )]
    Clock {
        /// Whose clock.
        who: String,
        /// By how much.
        skew: Duration,
    },
    /// It cannot be told what a file needs that a process of the cluster has open.
    #[error("cannot tell what {0} needs, which is open elsewhere; nothing was deleted")]
    InUse(ManifestId, #[source] ReadError),
    /// The one before was a short while ago.
    #[error("collections of a cluster are some time apart; the next may begin in {0:?}")]
    TooSoon(Duration),
    /// Another process of the cluster is deleting, or died while it was.
    #[error("another collection may be deleting; the next may begin in {0:?}")]
    UnderWay(Duration),
    /// Another process of the cluster has collected meanwhile.
    #[error("another collection was quicker; nothing was deleted")]
    Overtaken,
    /// It took so long that what it knows may not be so any more.
    #[error("the collection took too long; the next one goes on")]
    Late,
}

/// What is to be collected, and how.
struct Plan {
    roots: BTreeSet<(Owner, ManifestId)>,
    grace: Duration,
    /// Who else uses the origin, if anybody does.
    users: Option<Users>,
}

impl ChunkStore {
    /// Deletes what no root needs. One collection runs at a time, in one process
    /// per origin. It goes on when the caller stops waiting: a deletion that was
    /// begun has to be seen through.
    pub async fn collect(
        &self,
        roots: BTreeSet<(Owner, ManifestId)>,
    ) -> Result<Collected, CollectError> {
        self.collect_older(roots, self.shared.grace).await
    }

    /// The same with another grace. Any will do for what this process writes, if a
    /// [`Hold`] was taken before the roots were found out, and who writes a file has it
    /// open until it is named among them.
    pub async fn collect_older(
        &self,
        roots: BTreeSet<(Owner, ManifestId)>,
        grace: Duration,
    ) -> Result<Collected, CollectError> {
        self.see_through(Plan { roots, grace, users: None }).await
    }

    /// The same at an origin that others use, too. Each of them has to
    /// [report](Self::report_use) what it has open, and callers take turns.
    pub async fn collect_among(
        &self,
        roots: BTreeSet<(Owner, ManifestId)>,
        users: Users,
    ) -> Result<Collected, CollectError> {
        self.see_through(Plan { roots, grace: self.shared.grace, users: Some(users) }).await
    }

    /// From now on all that is open, or is stored, counts as in use.
    pub fn hold(&self) -> Hold {
        self.shared.guards.hold()
    }

    async fn see_through(&self, plan: Plan) -> Result<Collected, CollectError> {
        let store = self.clone();
        let run = async move { store.run_collection(plan).await };
        join(hearth_tasks::spawn("collect chunks", run)).await
    }

    async fn run_collection(&self, plan: Plan) -> Result<Collected, CollectError> {
        let Plan { roots, grace, users } = plan;
        let _one_at_a_time = self.shared.collector.lock().await;
        let began = Stopwatch::start();
        let collecting = self.shared.guards.collect();
        let origin = &self.shared.levels.origin;
        let in_use_elsewhere = match &users {
            Some(users) => self.ask_users(Pace(grace), users).await?,
            None => BTreeSet::new(),
        };
        let (last, version) = Generation::last(origin).await.map_err(CollectError::Origin)?;

        let mut live = self.mark_roots(&roots).await?;
        for id in in_use_elsewhere {
            self.mark_in_use(&mut live, id).await?;
        }
        let before = last.as_ref().map_or(0, |last| last.number);
        let mut waiting = Live::default();
        for (owner, id) in last.iter().flat_map(|last| last.roots.difference(&roots)) {
            self.mark_if_there(&mut waiting, owner, id).await?;
        }
        let mut stays = Stays { live, waiting };
        let dead = self.mark_young(&mut stays, grace).await?;
        let in_use = collecting.doom(dead);
        in_use.open.iter().for_each(|manifest| stays.live.add(manifest));
        for id in in_use.opening {
            self.mark_unowned(&mut stays.live, id).await?;
        }
        let next = Generation { number: before + 1, roots };
        let among = users.map(|_| Pace(grace));
        // Among several, what lost its name since then is not known if that was long ago.
        let is_known = among.is_none_or(|pace| version.is_fresh(pace));
        match among {
            Some(_) if !next.follow(origin, version).await.map_err(CollectError::Origin)? => {
                return Err(CollectError::Overtaken);
            }
            Some(_) => {}
            None => next.commit(origin).await.map_err(CollectError::Origin)?,
        }
        if last.is_none() {
            return Err(CollectError::Record);
        }
        if !is_known {
            tracing::info!("what has names is noted; what has none may go from the next time on");
            return Ok(Collected::default());
        }
        Sweep { store: self, collecting, stays, grace, among, began }.run().await
    }

    /// What stays for the roots.
    async fn mark_roots(
        &self,
        roots: &BTreeSet<(Owner, ManifestId)>,
    ) -> Result<Live, CollectError> {
        let mut live = Live::default();
        for (owner, id) in roots {
            let root = self.mark(&mut live, owner, id).await;
            if let Err(OpenError::Manifest(
                _,
                ReadError::Missing(object) | ReadError::Corrupt(object),
            )) = &root
            {
                // Who has it open may put it back.
                self.shared.levels.suspect(object).await;
            }
            root.map_err(|error| CollectError::Root(*id, owner.clone(), error))?;
        }
        Ok(live)
    }
}
