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
    manifests: BTreeSet<ManifestId>,
}

fn place(who: &str) -> ObjectPath {
    ObjectPath::from_iter([IN_USE, who])
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl ChunkStore {
    /// Tells collections elsewhere what is open here. `who` is one process at a time; say
    /// it every [`report_interval`](Self::report_interval), and once before anything is
    /// opened.
    pub async fn report_use(&self, who: &str) -> Result<(), ReadError> {
        let report =
            Report { grace_ms: millis(self.shared.grace), manifests: self.shared.guards.leased() };
        self.shared.levels.origin.put(&place(who), &record::encode(&report)).await
    }

    /// How often it is to be said what is open here.
    pub fn report_interval(&self) -> Duration {
        Pace(self.shared.grace).report_interval()
    }
}

/// When, by the origin's clock, `who` said last what it has open.
pub(crate) async fn reported(origin: &Origin, who: &str) -> Result<Option<ObjectMeta>, ReadError> {
    origin.head(&place(who)).await
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
    let mut ages: BTreeMap<&str, Duration> = BTreeMap::new();
    ages.extend(listed.iter().filter_map(|meta| Some((meta.location.filename()?, age(meta)))));
    if let Some(silent) =
        users.iter().find(|user| ages.get(user.as_str()).is_none_or(|age| *age > pace.silent()))
    {
        return Err(CollectError::Silent(silent.clone()));
    }
    let mut in_use = BTreeSet::new();
    for (who, age) in ages {
        let path = place(who);
        if age > pace.grace() {
            origin.delete(&path).await.map_err(CollectError::Origin)?;
            continue;
        }
        // Gone just now: it is another collection that found it old.
        let found = origin.get(&path, RECORD_BYTES_MAX).await.map_err(CollectError::Origin)?;
        let Some(bytes) = found else { continue };
        let report: Report =
            record::decode(&bytes).ok_or_else(|| CollectError::Report(who.to_owned()))?;
        if report.grace_ms != millis(pace.grace()) {
            let theirs = Duration::from_millis(report.grace_ms);
            return Err(CollectError::Grace { who: who.to_owned(), theirs, ours: pace.grace() });
        }
        in_use.extend(report.manifests);
    }
    Ok(in_use)
}
