//! Which version each snapshot is of.

use crate::service::ControlService;
use hearth_services::control::ControlError;
use hearth_services::keys;
use hearth_types::{FunctionVersion, SnapshotId, VersionKey};
use std::collections::BTreeMap;

impl ControlService {
    /// The versions that have a snapshot, by it. Reads the records of all versions:
    /// for an operator, not for a request.
    pub async fn versions_of_snapshots(
        &self,
    ) -> Result<BTreeMap<SnapshotId, VersionKey>, ControlError> {
        let mut versions = BTreeMap::new();
        let mut note = |version: FunctionVersion| {
            versions.extend(version.snapshot.map(|id| (id, version.key)));
        };
        self.records.walk(keys::VERSIONS, |_, version| note(version)).await?;
        Ok(versions)
    }
}
