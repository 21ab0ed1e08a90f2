//! The partitions that this process leads, for those who ask.

use crate::AssignmentService;
use async_trait::async_trait;
use futures_util::future::join_all;
use hearth_cluster::{Idle, Leaders, LedPartition, NotLed, Spare};
use hearth_sandboxes::Running;
use hearth_services::assignment::{
    AcquireError, Acquired, Assignment, Disposition, SandboxInfo, SandboxState,
};
use hearth_types::{
    AccountId, FunctionVersion, Hold, Partition, Room, SandboxId, StartKind, VersionKey,
};
use parking_lot::RwLock;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Idle sandboxes that others are told of at most, those that have been for longest.
const SPARE_MAX: usize = 2048;

/// What is led now.
pub struct Led {
    /// What runs in all partitions that are led here.
    pub(super) running: Arc<Running>,
    leaders: RwLock<BTreeMap<Partition, Arc<AssignmentService>>>,
    /// Sandboxes that nobody got, as no worker had room.
    refused: AtomicU64,
}

impl Led {
    pub(super) fn new(account_concurrency_max: usize) -> Self {
        let running = Running::new(account_concurrency_max);
        Self { running, leaders: RwLock::default(), refused: AtomicU64::default() }
    }

    pub(super) fn insert(&self, partition: Partition, leader: Arc<AssignmentService>) {
        self.leaders.write().insert(partition, leader);
    }

    pub(super) fn remove(&self, partition: Partition) {
        self.leaders.write().remove(&partition);
    }

    /// Each partition, with how many sandboxes of each state.
    pub fn partitions(&self) -> Vec<LedPartition> {
        let led = self.leaders.read();
        let partition = |(partition, leader): (&Partition, &Arc<AssignmentService>)| LedPartition {
            partition: *partition,
            epoch: leader.reign.epoch,
            sandboxes: leader.count(),
            last: leader.ownership.as_ref().map_or(0, |ownership| ownership.last()),
        };
        led.iter().map(partition).collect()
    }

    /// How many sandboxes leaders here refused so far, as no worker had room.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Brings the gauges up to date; called when somebody looks at them.
    pub fn observe(&self) {
        let mut sum = [0; SandboxState::ALL.len()];
        for led in self.partitions() {
            sum.iter_mut().zip(led.sandboxes).for_each(|(sum, count)| *sum += count);
        }
        crate::metrics::set_sandboxes(sum);
        let known = self.leaders.read().values().map(|leader| leader.known()).sum();
        crate::metrics::set_known(known);
    }

    fn all(&self) -> Vec<Arc<AssignmentService>> {
        self.leaders.read().values().filter(|leader| leader.may_serve()).cloned().collect()
    }

    fn leader(&self, partition: Partition) -> Result<Arc<AssignmentService>, NotLed> {
        let leader = self.leaders.read().get(&partition).cloned();
        // One that was frozen may wake up here before it learns that its time is over.
        leader.filter(|leader| leader.may_serve()).ok_or(NotLed)
    }
}

#[async_trait]
impl Leaders for Led {
    fn acquire_idle(
        &self,
        partition: Partition,
        version: &VersionKey,
    ) -> Result<Option<Idle>, NotLed> {
        Ok(self.leader(partition)?.acquire_idle(version))
    }

    async fn acquire(
        &self,
        partition: Partition,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
    ) -> Result<Result<Acquired, AcquireError>, NotLed> {
        let acquired = self.leader(partition)?.acquire(version, quickest).await;
        if crate::metrics::is_refusal(&acquired) {
            self.refused.fetch_add(1, Relaxed);
        }
        Ok(acquired)
    }

    fn release(
        &self,
        sandbox: SandboxId,
        hold: Hold,
        disposition: Disposition,
    ) -> Result<(), NotLed> {
        self.leader(hold.reign.partition)?.give_back(sandbox, hold, disposition);
        Ok(())
    }

    fn spare(&self, overhead: Room) -> Spare {
        let mut spare = Spare::default();
        self.all().into_iter().for_each(|leader| spare.add(leader.spare(overhead)));
        if spare.idle.len() > SPARE_MAX {
            spare.idle.sort_by_key(|sandbox| Reverse(sandbox.idle_for));
            spare.idle.truncate(SPARE_MAX);
        }
        spare
    }

    fn take(&self, ids: &[SandboxId]) -> Vec<SandboxId> {
        self.all().into_iter().flat_map(|leader| leader.take(ids)).collect()
    }

    async fn gone(&self, ids: &[SandboxId]) {
        let leaders = self.all();
        join_all(leaders.iter().map(|leader| leader.gone(ids))).await;
    }

    fn running(&self) -> Vec<(AccountId, usize)> {
        self.running.here()
    }

    async fn list(&self, account: &AccountId) -> Vec<SandboxInfo> {
        let leaders: Vec<_> = self.leaders.read().values().cloned().collect();
        let mut all = Vec::new();
        for leader in leaders {
            all.extend(leader.list(account).await);
        }
        all
    }
}
