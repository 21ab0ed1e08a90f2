//! This node's view of the cluster: what all agree on, who is there, who leads.

use super::config::NodeConfig;
use anyhow::Context;
use hearth_cluster::View;
use hearth_rpc::{Channels, Identity, IdentityFiles, Security};
use hearth_services::cluster::{ClusterRecord, LeaderRecord, NodeRecord, StandingRecord};
use hearth_services::keys;
use hearth_services::metastore::{MetaStore, Txn};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Into how many partitions functions are divided: enough to spread over the nodes of a
/// large cluster, few enough that each node can follow its share.
const PARTITIONS: u16 = 16;

/// The view.
pub(super) struct Cluster {
    pub(super) partitions: u16,
    pub(super) nodes: View<NodeRecord>,
    pub(super) leaders: View<LeaderRecord>,
    pub(super) standings: View<StandingRecord>,
    pub(super) channels: Channels,
    followers: [JoinHandle<Infallible>; 3],
}

impl Cluster {
    /// Looks at it, and goes on looking.
    pub(super) async fn follow(
        store: &Arc<dyn MetaStore>,
        security: Security,
    ) -> anyhow::Result<Self> {
        let partitions = settle(&**store).await?;
        let (nodes, follows_nodes) = View::start(Arc::clone(store), keys::NODES).await?;
        let (leaders, follows_leaders) = View::start(Arc::clone(store), keys::LEADERS).await?;
        let (standings, follows_standings) = View::start(Arc::clone(store), keys::WORKERS).await?;
        let followers = [follows_nodes, follows_leaders, follows_standings];
        let channels = Channels::new(security);
        Ok(Self { partitions, nodes, leaders, standings, channels, followers })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.followers.iter().for_each(JoinHandle::abort);
    }
}

/// How nodes speak to each other.
pub(crate) fn security(config: &NodeConfig) -> anyhow::Result<Security> {
    if config.plaintext_on_loopback {
        return Ok(Security::PlaintextOnLoopback);
    }
    let identity = Identity::load(&IdentityFiles::in_dir(&config.bundle))?;
    Ok(Security::mutual(&identity)?)
}

/// What all nodes agree on; the first one settles it.
async fn settle(store: &dyn MetaStore) -> anyhow::Result<u16> {
    let fresh = ClusterRecord { partitions: PARTITIONS };
    let first = Txn::new().absent(keys::CLUSTER).put(keys::CLUSTER, keys::encode(&fresh));
    // If another was first, nothing is changed.
    store.transact(first).await.context("cannot write to the metadata store")?;
    let found = store.get(keys::CLUSTER).await?.context("it was there just now")?;
    let record: ClusterRecord =
        keys::decode(&found.value).context("the cluster's record is of a newer version")?;
    Ok(record.partitions)
}
