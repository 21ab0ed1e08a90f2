//! Giving back what nothing needs, in a cluster: every node says what it has open, and
//! one at a time collects what code and snapshots need no more.

use crate::operator::Collection;
use anyhow::{Context, bail};
use hearth_chunk_store::{Collected, Users};
use hearth_cluster::{Membership, Turn, View};
use hearth_control::ControlService;
use hearth_services::cluster::NodeRecord;
use hearth_services::keys;
use hearth_services::metastore::MetaStore;
use hearth_snapshot_store::{LAYER_UNUSED_MAX, SnapshotStore};
use hearth_worker::WorkerService;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long an operator waits for the node to be in the cluster.
const JOINED_WAIT: Duration = Duration::from_secs(10);

/// What this node does about garbage.
pub(super) struct Garbage {
    pub(super) store: Arc<dyn MetaStore>,
    pub(super) membership: Arc<Membership>,
    pub(super) nodes: View<NodeRecord>,
    pub(super) control: Arc<ControlService>,
    pub(super) snapshots: SnapshotStore,
    pub(super) worker: Option<Arc<WorkerService>>,
}

impl Garbage {
    /// Says every now and then what is open here, so that no other node deletes it.
    pub(super) async fn report_forever(&self) -> Infallible {
        let chunks = self.snapshots.chunks();
        loop {
            sleep(chunks.report_interval()).await;
            if let Err(error) = self.report().await {
                let error: &dyn std::error::Error = error.as_ref();
                tracing::warn!(error, "cannot say what is open here; until then nobody collects");
            }
        }
    }

    async fn report(&self) -> anyhow::Result<()> {
        self.snapshots.chunks().report_use(self.me()).await?;
        if let Some(worker) = &self.worker {
            worker.note_layers_used().await?;
        }
        Ok(())
    }

    /// Collects whenever it is time.
    pub(super) async fn collect_forever(&self) -> Infallible {
        loop {
            sleep(self.snapshots.chunks().report_interval()).await;
            match self.collect().await {
                Ok(_) => {}
                Err(error) if is_untimely(&error) => {
                    tracing::debug!(error = format!("{error:#}"), "no collection now");
                }
                Err(error) => {
                    let error: &dyn std::error::Error = error.as_ref();
                    tracing::warn!(error, "what nothing needs could not be collected");
                }
            }
        }
    }

    /// Deletes what neither code nor a snapshot has needed for a while, if no other node
    /// does so just now.
    pub(super) async fn collect(&self) -> anyhow::Result<Collection> {
        let joined = timeout(JOINED_WAIT, self.membership.joined()).await;
        let lease = joined.context("this node is not in the cluster")?;
        let life = self.membership.me().life;
        let Some(turn) = Turn::claim(&*self.store, keys::GARBAGE, life, lease).await? else {
            bail!(OthersTurn);
        };
        let done = self.collect_in_turn().await;
        turn.give_back(&*self.store).await;
        done
    }

    async fn collect_in_turn(&self) -> anyhow::Result<Collection> {
        let _hold = self.snapshots.chunks().hold();
        let all = self.nodes.now().values().map(|seen| seen.record.name.to_string()).collect();
        let users = Users { me: self.me().to_owned(), all };
        // What no version names, the node whose turn control is sweeps.
        let code = self.control.code_files().await?;
        let layers = self.snapshots.remove_unused_layers(LAYER_UNUSED_MAX).await;
        let layers = layers.context("layers that nobody uses could not be removed")?;
        let files = self.snapshots.collect_among(code, users).await?;
        let Collected { chunks_swept, bytes_swept, chunks_waiting, .. } = files;
        tracing::info!(
            layers = layers.len(),
            chunks = chunks_swept,
            bytes = bytes_swept,
            chunks_waiting,
            "collected what neither code nor a snapshot needs"
        );
        Ok(Collection::of(&layers, files, self.snapshots.chunks().grace()))
    }

    fn me(&self) -> &str {
        self.membership.me().name.as_str()
    }
}

/// Another node's turn it is.
#[derive(Debug, thiserror::Error)]
#[error("another node is collecting just now")]
struct OthersTurn;

/// Whether it is only a matter of time.
fn is_untimely(error: &anyhow::Error) -> bool {
    use hearth_chunk_store::CollectError::TooSoon;
    use hearth_snapshot_store::CollectError::Chunks;
    error.is::<OthersTurn>() || matches!(error.downcast_ref(), Some(Chunks(TooSoon(_))))
}
