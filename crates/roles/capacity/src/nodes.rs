//! Asking the nodes of a cluster how they are.

use async_trait::async_trait;
use hearth_cluster::{NodeStatus, View, node_status};
use hearth_rpc::Channels;
use hearth_services::cluster::{NodeRecord, Role};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Nodes that are asked at once.
const ASKED_MAX: usize = 128;

/// The nodes of a cluster.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Those that live, as far as is known.
    fn all(&self) -> Vec<NodeRecord>;
    /// How one is; none if it does not answer in time.
    async fn status(&self, node: &NodeRecord) -> Option<NodeStatus>;
}

/// The nodes that have a record, asked by calls.
pub struct ClusterNodes {
    /// Their records.
    pub nodes: View<NodeRecord>,
    /// The ways to them.
    pub channels: Channels,
}

#[async_trait]
impl Nodes for ClusterNodes {
    fn all(&self) -> Vec<NodeRecord> {
        self.nodes.now().values().map(|seen| seen.record.clone()).collect()
    }

    async fn status(&self, node: &NodeRecord) -> Option<NodeStatus> {
        let channel = self.channels.get(&node.address, Some(&node.name));
        let channel = channel
            .inspect_err(|error| tracing::warn!(node = %node.name, %error, "not asked"))
            .ok()?;
        node_status(&channel)
            .await
            .inspect_err(|error| {
                tracing::debug!(node = %node.name, error = error as &dyn std::error::Error,
                    "a node does not say how it is");
            })
            .ok()
    }
}

/// A node, and what it said of itself.
pub(crate) type Answer = (NodeRecord, Option<NodeStatus>);

/// Asks all that have something to say of workers.
pub(crate) async fn ask_all(nodes: &Arc<dyn Nodes>) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut asking = JoinSet::new();
    let matters =
        |node: &NodeRecord| node.worker.is_some() || node.roles.contains(&Role::Assignment);
    for node in nodes.all().into_iter().filter(matters) {
        if asking.len() >= ASKED_MAX {
            answers.extend(asking.join_next().await.and_then(Result::ok));
        }
        let nodes = Arc::clone(nodes);
        hearth_tasks::spawn_in(&mut asking, "node status", async move {
            let status = nodes.status(&node).await;
            (node, status)
        });
    }
    while let Some(answer) = asking.join_next().await {
        // A panic has been logged; that node is asked again in the next round.
        answers.extend(answer);
    }
    answers
}
