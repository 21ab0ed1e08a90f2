//! What an operator can ask of a node that concerns what all nodes store.

use crate::operator::{Collection, Keeper};
use anyhow::bail;
use async_trait::async_trait;
use hearth_chunk_store::{ManifestId, Owner};
use hearth_control::ControlService;
use hearth_types::{SnapshotId, VersionKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Knows what is named, and collects nothing.
pub(super) struct NodeKeeper(pub(super) Arc<ControlService>);

#[async_trait]
impl Keeper for NodeKeeper {
    async fn versions(&self) -> anyhow::Result<BTreeMap<SnapshotId, VersionKey>> {
        Ok(self.0.versions_of_snapshots().await?)
    }

    async fn code_files(&self) -> anyhow::Result<BTreeSet<(Owner, ManifestId)>> {
        Ok(self.0.code_files().await?)
    }

    async fn collect(&self, _grace: Option<Duration>) -> anyhow::Result<Collection> {
        bail!(
            "a cluster does not collect yet: which layers and files are in use is known to each \
             node alone. Chunks that nothing needs stay in the object store"
        )
    }
}
