//! Removes snapshots that no version names: of versions that were deleted, and of
//! builds that a crash cut off.

use crate::error::internal;
use crate::service::ControlService;
use hearth_services::control::ControlError;
use hearth_services::keys;
use hearth_types::{FunctionVersion, SnapshotId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// How long a sweep waits for builds that run; those that would begin wait for it
/// meanwhile. An init takes 130 s at most, and capturing is quick next to it.
const BUILDS_WAIT: Duration = Duration::from_secs(180);

/// Snapshots that were named at some sweep of this process, and since when nothing
/// names those that are no more.
pub(crate) type Named = BTreeMap<SnapshotId, Option<Instant>>;

impl ControlService {
    pub(crate) async fn sweep_snapshots(&self) -> Result<(), ControlError> {
        self.sweep_snapshots_unnamed_for(self.unnamed_kept).await
    }

    /// Removes snapshots that no version has named for as long as this, or for some
    /// minutes: a start that was under way takes the next longer way.
    pub async fn sweep_snapshots_unnamed_for(&self, kept: Duration) -> Result<(), ControlError> {
        let Some(snapshots) = &self.snapshots else { return Ok(()) };
        let naming = self.naming_snapshots.write();
        let Ok(_none_unnamed) = tokio::time::timeout(BUILDS_WAIT, naming).await else {
            tracing::warn!(
                "a snapshot is being built for long, so those that nothing names are left to the \
                 next sweep"
            );
            return Ok(());
        };
        let mut live = BTreeSet::new();
        let mut note = |version: FunctionVersion| live.extend(version.snapshot);
        self.records.walk(keys::VERSIONS, |_, version| note(version)).await?;
        let kept = self.kept_snapshots(live, kept.min(self.unnamed_kept)).await;
        snapshots.retain(&kept).await.map_err(internal)
    }

    /// `live`, and what was until a short while ago: a sandbox of a version that was
    /// just deleted may still be starting from it.
    async fn kept_snapshots(
        &self,
        live: BTreeSet<SnapshotId>,
        kept: Duration,
    ) -> BTreeSet<SnapshotId> {
        let mut named = self.named_snapshots.lock().await;
        let now = Instant::now();
        named.retain(|id, since| {
            live.contains(id) || now.duration_since(*since.get_or_insert(now)) < kept
        });
        named.extend(live.into_iter().map(|id| (id, None)));
        named.keys().copied().collect()
    }
}
