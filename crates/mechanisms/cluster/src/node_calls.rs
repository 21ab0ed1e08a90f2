//! What a node says of itself, to whoever asks how the cluster is.

use hearth_rpc::{CallError, Channel, Method, Router};
use hearth_services::worker::WorkerStatus;
use hearth_types::Partition;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const STATUS: Method = Method::new("hearth.Node/Status");
/// A node that takes longer to say how it is is not well.
const STATUS_MAX: Duration = Duration::from_secs(2);

/// A partition that a node leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedPartition {
    /// Which.
    pub partition: Partition,
    /// In which epoch.
    pub epoch: u64,
    /// Sandboxes of it that start, are idle, are busy.
    pub sandboxes: [usize; 3],
    /// The last entry of its journal.
    pub last: u64,
}

/// How a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// What it leads.
    pub led: Vec<LedPartition>,
    /// What it follows, and up to which entry.
    pub followed: Vec<(Partition, u64)>,
    /// Sandboxes that its leaders refused since it started, as no worker had room.
    #[serde(default)]
    pub refused: u64,
    /// Its worker, if it is one.
    pub worker: Option<WorkerStatus>,
}

/// Serves a node's own word of itself.
pub fn serve_node<F>(router: Router, status: impl Fn() -> F + Send + Sync + 'static) -> Router
where
    F: Future<Output = NodeStatus> + Send + 'static,
{
    let status = Arc::new(status);
    router.method(STATUS, move |_, (): ()| status())
}

/// Asks a node how it is.
pub async fn node_status(node: &Channel) -> Result<NodeStatus, CallError> {
    node.call(&STATUS, &(), Instant::now() + STATUS_MAX).await
}
