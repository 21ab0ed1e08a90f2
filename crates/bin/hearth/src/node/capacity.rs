//! The capacity manager of this node, with the provider that its file names.

use super::cluster::Cluster;
use super::config::NodeConfig;
use anyhow::Context;
use hearth_capacity::{
    CapacityDeps, CapacityService, ClusterNodes, CommandProvider, ProcessProvider, ProviderConfig,
    WorkerProvider,
};
use hearth_cluster::Membership;
use hearth_services::metastore::MetaStore;
use std::sync::Arc;

/// The role, not begun yet.
pub(super) fn service(
    config: &NodeConfig,
    store: &Arc<dyn MetaStore>,
    membership: &Arc<Membership>,
    cluster: &Cluster,
) -> anyhow::Result<CapacityService> {
    let nodes = ClusterNodes { nodes: cluster.nodes.clone(), channels: cluster.channels.clone() };
    let deps = CapacityDeps {
        store: Arc::clone(store),
        membership: Arc::clone(membership),
        nodes: Arc::new(nodes),
        provider: provider(config)?,
    };
    Ok(CapacityService::new(config.capacity.clone(), deps))
}

fn provider(config: &NodeConfig) -> anyhow::Result<Option<Arc<dyn WorkerProvider>>> {
    Ok(match config.capacity.provider.clone() {
        None => None,
        Some(ProviderConfig::Command(commands)) => Some(Arc::new(CommandProvider::new(commands))),
        Some(ProviderConfig::Process(processes)) => {
            let program = std::env::current_exe().context("cannot find this program")?;
            let dir = processes.data_dir.clone();
            let opened = ProcessProvider::open(processes, program)
                .with_context(|| format!("cannot keep workers in {}", dir.display()))?;
            Some(Arc::new(opened))
        }
    })
}
