//! What is done now and then, or when an operator asks: leftovers are swept, and what
//! code and snapshots no longer need is given back.

use crate::operator::{Collection, Keeper};
use async_trait::async_trait;
use hearth_chunk_store::{ManifestId, Owner};
use hearth_control::ControlService;
use hearth_types::{SnapshotId, VersionKey};
use hearth_worker::{SpaceCollected, WorkerService};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How often code and snapshots that nothing names any more are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);
/// How often what is no longer needed is deleted: it lists all chunks, and what is
/// young is left anyway.
const COLLECT_INTERVAL: Duration = Duration::from_secs(3600);

/// Keeps house.
pub(super) struct Housekeeping {
    control: Arc<ControlService>,
    worker: Arc<WorkerService>,
    /// The operator and the clock take turns.
    turn: Mutex<()>,
    /// What is younger, or lost its name less long ago, does not go by itself.
    grace: Duration,
}

impl Housekeeping {
    pub(super) fn new(
        control: Arc<ControlService>,
        worker: Arc<WorkerService>,
        grace: Duration,
    ) -> Self {
        Self { control, worker, turn: Mutex::default(), grace }
    }

    /// Goes on until it is aborted.
    pub(super) async fn run(self: Arc<Self>) {
        // The first soon: a server may never run for long.
        let mut collected: Option<Instant> = None;
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            let due = collected.is_none_or(|when| when.elapsed() >= COLLECT_INTERVAL);
            let done = match due {
                true => self.collect_all(self.grace).await.map(drop),
                false => self.sweep().await,
            };
            match done {
                Ok(()) if due => collected = Some(Instant::now()),
                Ok(()) => {}
                Err(error) => {
                    let error: &dyn std::error::Error = error.as_ref();
                    tracing::warn!(error, "a sweep failed");
                }
            }
        }
    }

    async fn sweep(&self) -> anyhow::Result<()> {
        let _turn = self.turn.lock().await;
        self.control.sweep().await?;
        Ok(())
    }

    /// Code and snapshots lose their names first, and then what had them goes.
    async fn collect_all(&self, grace: Duration) -> anyhow::Result<SpaceCollected> {
        let _turn = self.turn.lock().await;
        let _hold = self.worker.hold_files();
        self.control.sweep().await?;
        self.control.sweep_snapshots_unnamed_for(grace).await?;
        let code = self.control.code_files().await?;
        let collected = self.worker.collect(code, grace).await?;
        let SpaceCollected { layers, files, .. } = &collected;
        tracing::info!(
            layers = layers.len(),
            chunks = files.chunks_swept,
            bytes = files.bytes_swept,
            chunks_waiting = files.chunks_waiting,
            "collected what neither code nor a snapshot needs"
        );
        Ok(collected)
    }
}

#[async_trait]
impl Keeper for Housekeeping {
    async fn versions(&self) -> anyhow::Result<BTreeMap<SnapshotId, VersionKey>> {
        Ok(self.control.versions_of_snapshots().await?)
    }

    async fn code_files(&self) -> anyhow::Result<BTreeSet<(Owner, ManifestId)>> {
        Ok(self.control.code_files().await?)
    }

    async fn collect(&self, grace: Option<Duration>) -> anyhow::Result<Collection> {
        let done = self.collect_all(grace.unwrap_or(self.grace)).await?;
        let SpaceCollected { layers, files, grace } = done;
        Ok(Collection::of(&layers, files, grace))
    }
}
