//! What an operator can ask of whoever keeps house.

use async_trait::async_trait;
use hearth_chunk_store::{Collected, ManifestId, Owner};
use hearth_snapshot_store::Name;
use hearth_types::{SnapshotId, VersionKey};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a collection did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Collection {
    /// Layers that were not used for long, and lost their names.
    pub(crate) layers: Vec<String>,
    /// Stored files that went.
    pub(crate) files_deleted: u64,
    /// Chunks that went.
    pub(crate) chunks_deleted: u64,
    /// Their bytes.
    pub(crate) bytes_deleted: u64,
    /// Chunks that are left.
    pub(crate) chunks_kept: u64,
    /// Of them, those that nothing needs but that are too young to go, or were needed
    /// the last time.
    pub(crate) chunks_waiting: u64,
    /// Their bytes.
    pub(crate) bytes_waiting: u64,
    /// What is younger than so many seconds does not go.
    pub(crate) grace_s: u64,
}

impl Collection {
    /// What a collection with this grace did, after layers had lost their names.
    pub(crate) fn of(layers: &[Name], files: Collected, grace: Duration) -> Self {
        Self {
            layers: layers.iter().map(ToString::to_string).collect(),
            files_deleted: files.manifests_swept,
            chunks_deleted: files.chunks_swept,
            bytes_deleted: files.bytes_swept,
            chunks_kept: files.chunks_live,
            chunks_waiting: files.chunks_waiting,
            bytes_waiting: files.bytes_waiting,
            grace_s: grace.as_secs(),
        }
    }
}

/// Whoever keeps house.
#[async_trait]
pub(crate) trait Keeper: Send + Sync {
    /// Which version each snapshot is of.
    async fn versions(&self) -> anyhow::Result<BTreeMap<SnapshotId, VersionKey>>;

    /// The files of functions' code.
    async fn code_files(&self) -> anyhow::Result<BTreeSet<(Owner, ManifestId)>>;

    /// Sweeps and collects now; with this grace, or that of the server.
    async fn collect(&self, grace: Option<Duration>) -> anyhow::Result<Collection>;
}
