//! What each process of a cluster has open, as it says itself now and then.
//!
//! A collection takes what the reports name for roots. What was opened since the last
//! report was opened by a name, so it was a root a short while ago, and two collections
//! are further apart than reports are.

use crate::among::Pace;
use crate::collect::CollectError;
use crate::fetch::ReadError;
use crate::origin::{Origin, age};
use crate::record::{self, RECORD_BYTES_MAX};
use crate::store::ChunkStore;
use futures_util::TryStreamExt;
use hearth_ambient::clock;
use hearth_chunk_format::ManifestId;
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Prefix of the reports, one for each process.
const IN_USE: &str = "in-use";

/// What one process has open.
#[derive(Serialize, Deserialize)]
struct Report {
    /// How long what it stores is to be safe: all have to agree.
    grace_ms: u64,
    /// When it said so, by its own clock, which has to agree with the origin's.
    at_ms: u64,
    manifests: BTreeSet<ManifestId>,
}

impl Report {
    /// Why ages do not mean to `who` what they mean here, if so; `meta` is its report's.
    fn disagrees(&self, who: &str, meta: &ObjectMeta, pace: Pace) -> Option<CollectError> {
        let who = || who.to_owned();
        if self.grace_ms != millis(pace.grace()) {
            let (theirs, ours) = (Duration::from_millis(self.grace_ms), pace.grace());
            return Some(CollectError::Grace { who: who(), theirs, ours });
        }
        let written = meta.last_modified.timestamp_millis().max(0) as u64;
        let skew = Duration::from_millis(written.abs_diff(self.at_ms));
        (skew > pace.skew_max()).then(|| CollectError::Clock { who: who(), skew })
    }
}

fn place(who: &str) -> ObjectPath {
    ObjectPath::from_iter([IN_USE, who])
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl ChunkStore {
    /// Tells collections elsewhere what is open here. `who` is this process, and never
    /// another; say it every [`report_interval`](Self::report_interval), and once before
    /// anything is opened.
    pub async fn report_use(&self, who: &str) -> Result<(), ReadError> {
        let report = Report {
            grace_ms: millis(self.shared.grace),
            at_ms: millis(clock::unix_now()),
            manifests: self.shared.guards.leased(),
        };
        self.shared.levels.origin.put(&place(who), &record::encode(&report)).await
    }

    /// How often it is to be said what is open here.
    pub fn report_interval(&self) -> Duration {
        Pace(self.shared.grace).report_interval()
    }
}

/// All that is in use by what was reported. Each of `users` must have reported a short
/// while ago. What others reported that are gone counts as long as what they stored is
/// young.
pub(crate) async fn by_all(
    origin: &Origin,
    pace: Pace,
    users: &BTreeSet<String>,
) -> Result<BTreeSet<ManifestId>, CollectError> {
    let listed: Vec<ObjectMeta> =
        origin.list(IN_USE).try_collect().await.map_err(CollectError::Origin)?;
    let reports: BTreeMap<&str, &ObjectMeta> =
        listed.iter().filter_map(|meta| Some((meta.location.filename()?, meta))).collect();
    let is_silent =
        |user: &&String| reports.get(user.as_str()).is_none_or(|meta| age(meta) > pace.silent());
    if let Some(silent) = users.iter().find(is_silent) {
        return Err(CollectError::Silent(silent.clone()));
    }
    let mut in_use = BTreeSet::new();
    for (who, meta) in reports {
        if age(meta) > pace.grace() {
            origin.delete(&meta.location).await.map_err(CollectError::Origin)?;
            continue;
        }
        let found = origin.get_with_meta(&meta.location, RECORD_BYTES_MAX).await;
        // Gone just now: it is another collection that found it old.
        let Some((bytes, meta)) = found.map_err(CollectError::Origin)? else { continue };
        let report: Report =
            record::decode(&bytes).ok_or_else(|| CollectError::Report(who.to_owned()))?;
        if let Some(differs) = report.disagrees(who, &meta, pace) {
            return Err(differs);
        }
        in_use.extend(report.manifests);
    }
    Ok(in_use)
}
