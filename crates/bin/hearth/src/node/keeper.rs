//! What an operator can ask of a node that concerns what all nodes store.

use super::garbage::Garbage;
use crate::operator::{Collection, Keeper};
use anyhow::ensure;
use async_trait::async_trait;
use hearth_chunk_store::{ManifestId, Owner};
use hearth_control::ControlService;
use hearth_types::{SnapshotId, VersionKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Knows what is named, and may collect the rest.
pub(super) struct NodeKeeper {
    pub(super) control: Arc<ControlService>,
    pub(super) garbage: Arc<Garbage>,
}

#[async_trait]
impl Keeper for NodeKeeper {
    async fn versions(&self) -> anyhow::Result<BTreeMap<SnapshotId, VersionKey>> {
        Ok(self.control.versions_of_snapshots().await?)
    }

    async fn code_files(&self) -> anyhow::Result<BTreeSet<(Owner, ManifestId)>> {
        Ok(self.control.code_files().await?)
    }

    async fn collect(&self, grace: Option<Duration>) -> anyhow::Result<Collection> {
        ensure!(
            grace.is_none(),
            "all nodes of a cluster have one grace, `gc-grace-s` of their configuration; leave \
             out --grace"
        );
        Arc::clone(&self.garbage).collect().await
    }
}
