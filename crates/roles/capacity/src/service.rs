//! The role: this node's turns at managing capacity.

use crate::config::CapacityConfig;
use crate::ledger::{Ledger, LedgerError};
use crate::manager::Manager;
use crate::nodes::Nodes;
use crate::provider::WorkerProvider;
use hearth_cluster::{Membership, Turn};
use hearth_services::keys;
use hearth_services::metastore::{LeaseId, MetaStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// How often a node looks whether it is its turn.
const CLAIM_INTERVAL: Duration = Duration::from_secs(1);
/// How often all are asked how they are: the pace that the planner's counts of looks are
/// made for.
const ROUND_INTERVAL: Duration = Duration::from_secs(10);

/// What managing capacity takes.
pub struct CapacityDeps {
    /// Where standings are.
    pub store: Arc<dyn MetaStore>,
    /// This node's place.
    pub membership: Arc<Membership>,
    /// All nodes.
    pub nodes: Arc<dyn Nodes>,
    /// Who starts and stops workers, if anybody does.
    pub provider: Option<Arc<dyn WorkerProvider>>,
}

/// The role.
pub struct CapacityService {
    config: CapacityConfig,
    deps: CapacityDeps,
}

impl CapacityService {
    /// Not begun yet.
    pub fn new(config: CapacityConfig, deps: CapacityDeps) -> Self {
        Self { config, deps }
    }

    /// Takes its turns until `stop`. Workers that a provider started live on.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            self.take_turn(&stop).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(CLAIM_INTERVAL) => {}
            }
        }
    }

    /// Manages if nobody else does, as long as it may.
    async fn take_turn(&self, stop: &CancellationToken) {
        let membership = &self.deps.membership;
        let lease = tokio::select! {
            () = stop.cancelled() => return,
            lease = membership.joined() => lease,
        };
        let turn = match Turn::claim(&*self.deps.store, keys::CAPACITY, membership.me().life, lease)
            .await
        {
            Ok(Some(turn)) => turn,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot find out whose turn capacity is; trying again"
                );
                return;
            }
        };
        tracing::info!("capacity is this node's");
        tokio::select! {
            () = stop.cancelled() => {}
            () = membership.lost(lease) => {}
            () = self.manage(turn, lease) => {}
        }
        turn.give_back(&*self.deps.store).await;
        tracing::info!("capacity is this node's no more");
    }

    /// Returns once it may no more.
    async fn manage(&self, turn: Turn, lease: LeaseId) {
        let mut manager = loop {
            match self.open(turn).await {
                Ok(manager) => break manager,
                Err(LedgerError::Deposed) => return,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot read what the manager before left; trying again"
                    );
                    sleep(CLAIM_INTERVAL).await;
                }
            }
        };
        let mut rounds = interval(ROUND_INTERVAL);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            // One that was frozen may wake up here before it learns that its time is over.
            if self.deps.membership.lease() != Some(lease) {
                return;
            }
            let began = Instant::now();
            match manager.round().await {
                Ok(()) => tracing::debug!(took = ?began.elapsed(), "a round"),
                Err(LedgerError::Deposed) => return,
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a round was cut short; going on with the next"
                ),
            }
        }
    }

    async fn open(&self, turn: Turn) -> Result<Manager, LedgerError> {
        let deps = &self.deps;
        let zone = deps.membership.me().zone.clone();
        let ledger = Ledger::new(Arc::clone(&deps.store), turn);
        let (nodes, provider) = (Arc::clone(&deps.nodes), deps.provider.clone());
        Manager::open(self.config.clone(), zone, nodes, provider, ledger).await
    }
}
