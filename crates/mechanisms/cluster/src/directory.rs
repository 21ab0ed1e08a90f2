//! The workers of a cluster, by their ids: this process's own directly, others by calls.

use crate::view::View;
use crate::worker_calls::RemoteWorker;
use hearth_rpc::{Channel, Channels};
use hearth_services::cluster::{NodeRecord, StandingRecord};
use hearth_services::keys;
use hearth_services::worker::{Standing, Worker, WorkerDirectory};
use hearth_types::{NodeName, WorkerId, ZoneName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The directory. Cheap to clone.
#[derive(Clone)]
pub struct Workers {
    nodes: View<NodeRecord>,
    channels: Channels,
    own: Option<(WorkerId, Arc<dyn Worker>)>,
    standings: Option<View<StandingRecord>>,
}

impl Workers {
    /// The workers of these nodes; `own` is in this process.
    pub fn new(
        nodes: View<NodeRecord>,
        channels: Channels,
        own: Option<(WorkerId, Arc<dyn Worker>)>,
    ) -> Self {
        Self { nodes, channels, own, standings: None }
    }

    /// The same, with those that are on their way out known as such.
    #[must_use]
    pub fn with_standings(self, standings: View<StandingRecord>) -> Self {
        Self { standings: Some(standings), ..self }
    }

    /// The ways to all workers, this process's own among them.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        self.named_channels().into_values().collect()
    }

    /// The same, by the names of their nodes.
    pub(crate) fn named_channels(&self) -> BTreeMap<NodeName, Channel> {
        let nodes = self.nodes.now();
        let workers = nodes.values().filter(|node| node.record.worker.is_some());
        workers
            .filter_map(|node| Some((node.record.name.clone(), self.channel(&node.record)?)))
            .collect()
    }

    fn channel(&self, node: &NodeRecord) -> Option<Channel> {
        let channel = self.channels.get(&node.address, Some(&node.name));
        channel
            .inspect_err(|error| tracing::warn!(node = %node.name, %error, "a worker is left out"))
            .ok()
    }

    fn remote(&self, node: &NodeRecord) -> Option<Arc<dyn Worker>> {
        Some(Arc::new(RemoteWorker(self.channel(node)?)))
    }
}

impl WorkerDirectory for Workers {
    fn worker(&self, id: &WorkerId) -> Option<Arc<dyn Worker>> {
        if let Some((own, worker)) = &self.own
            && own == id
        {
            return Some(Arc::clone(worker));
        }
        let nodes = self.nodes.now();
        let node = nodes.values().find(|node| node.record.worker == Some(*id))?;
        self.remote(&node.record)
    }

    fn zone(&self, id: &WorkerId) -> Option<ZoneName> {
        let nodes = self.nodes.now();
        let node = nodes.values().find(|node| node.record.worker == Some(*id))?;
        Some(node.record.zone.clone())
    }

    fn standing(&self, id: &WorkerId) -> Standing {
        let Some(standings) = &self.standings else { return Standing::Serving };
        let now = standings.now();
        now.get(&keys::worker(id)).map_or(Standing::Serving, |seen| seen.record.standing)
    }

    fn all(&self) -> Vec<(WorkerId, Arc<dyn Worker>)> {
        let nodes = self.nodes.now();
        let own = self.own.iter().map(|(id, worker)| (*id, Arc::clone(worker)));
        let is_own = |id: &WorkerId| self.own.as_ref().is_some_and(|(own, _)| own == id);
        let remote = nodes.values().filter_map(|node| {
            let id = node.record.worker.filter(|id| !is_own(id))?;
            Some((id, self.remote(&node.record)?))
        });
        own.chain(remote).collect()
    }
}
