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
use hearth_tasks::spawn;
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
        let me = user(self.membership.me());
        loop {
            sleep(chunks.report_interval()).await;
            self.worker.iter().for_each(|worker| worker.close_unused_snapshots());
            if let Err(error) = chunks.report_use(&me).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "cannot say what is open here; until then nobody collects");
            }
            if let Some(worker) = &self.worker
                && let Err(error) = worker.note_layers_used().await
            {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "cannot note which layers are in use here");
            }
        }
    }

    /// Collects whenever it is time.
    pub(super) async fn collect_forever(self: Arc<Self>) -> Infallible {
        loop {
            sleep(self.snapshots.chunks().report_interval()).await;
            match Arc::clone(&self).collect().await {
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
    /// does so just now. It goes on when the caller stops waiting, so that the turn is
    /// given back.
    pub(super) async fn collect(self: Arc<Self>) -> anyhow::Result<Collection> {
        let taken = spawn("collection", async move { self.take_turn().await });
        taken.await.context("the collection panicked")?
    }

    async fn take_turn(&self) -> anyhow::Result<Collection> {
        // Most often it is not, and what all need is not read then.
        self.snapshots.chunks().is_time().await?;
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
        let all = self.nodes.now().values().map(|seen| user(&seen.record)).collect();
        let users = Users { me: user(self.membership.me()), all };
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
}

/// What a node is called among those that use the object store: by its life, too, as two that
/// are given one name have different files open.
pub(super) fn user(node: &NodeRecord) -> String {
    format!("{}.{}", node.name, node.life)
}

/// Another node's turn it is.
#[derive(Debug, thiserror::Error)]
#[error("another node is collecting just now")]
struct OthersTurn;

/// Whether it is only a matter of time.
fn is_untimely(error: &anyhow::Error) -> bool {
    use hearth_chunk_store::CollectError::{TooSoon, UnderWay};
    error.is::<OthersTurn>()
        || error.chain().any(|e| matches!(e.downcast_ref(), Some(TooSoon(_) | UnderWay(_))))
}
