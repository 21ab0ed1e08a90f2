//! Whose turn it is to lead a partition, and the record that says who does.

use super::member::Shared;
use hearth_cluster::{FOLLOWERS, Seen, ranked};
use hearth_services::cluster::{LeaderRecord, NodeRecord};
use hearth_services::keys;
use hearth_services::metastore::{Compare, LeaseId, MetaStoreError, Op, Revision, Txn, TxnOutcome};
use hearth_types::{NodeName, Partition};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How much longer each node waits than the one that is better placed. A claim and word of
/// it take some milliseconds.
const RANK_DELAY: Duration = Duration::from_millis(150);
/// How long a leader's connection may take to be made anew before it counts as cut off
/// rather than dead.
const RECONNECT_MAX: Duration = Duration::from_millis(500);
/// Pause after something failed, and between looks at a leader that cannot be reached.
const PAUSE: Duration = Duration::from_millis(300);

/// A partition that is this node's to lead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) partition: Partition,
    pub(super) lease: LeaseId,
    /// What wrote the record.
    pub(super) revision: Revision,
}

impl Shared {
    /// This node's place among those that could lead the partition; none if it cannot.
    pub(super) fn rank(&self, partition: Partition) -> Option<usize> {
        let nodes = self.nodes.now();
        let ranked = ranked(partition, nodes.values().map(|node| &node.record));
        ranked.iter().position(|name| *name == self.membership.me().name)
    }

    /// Whether this node is to be ready to lead at once.
    pub(super) fn follows(&self, partition: Partition) -> bool {
        self.rank(partition).is_some_and(|rank| rank <= FOLLOWERS)
    }

    /// Returns once the partition is this node's to lead. Cancel-safe but for that a claim
    /// may be there that nobody uses; it is taken up by the next call.
    pub(super) async fn turn(&self, partition: Partition) -> Claim {
        loop {
            let lease = self.membership.joined().await;
            let mut leaders = self.leaders.subscribe();
            let seen = leaders.borrow_and_update().get(&keys::leader(partition)).cloned();
            let changed = async {
                let same = |now: &hearth_cluster::Records<LeaderRecord>| {
                    now.get(&keys::leader(partition)) != seen.as_ref()
                };
                // Its sender lives as long as this process.
                let _now = leaders.wait_for(same).await;
            };
            let claimed = tokio::select! {
                () = changed => continue,
                () = self.membership.lost(lease) => continue,
                claimed = self.claim_when_due(partition, seen.as_ref(), lease) => claimed,
            };
            match claimed {
                Ok(Some(revision)) => return Claim { partition, lease, revision },
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%partition, error = &error as &dyn std::error::Error,
                        "a partition could not be claimed; trying again");
                }
            }
            sleep(PAUSE).await;
        }
    }

    async fn claim_when_due(
        &self,
        partition: Partition,
        seen: Option<&Seen<LeaderRecord>>,
        lease: LeaseId,
    ) -> Result<Option<Revision>, MetaStoreError> {
        match seen {
            Some(Seen { revision, record }) if record.life == self.membership.me().life => {
                // Given to this node, or left from a reign that came to nothing.
                if record.epoch.is_none() {
                    return Ok(Some(*revision));
                }
            }
            Some(Seen { record, .. }) => {
                self.dead(record).await;
                self.wait_by_rank(partition, Some(record)).await;
            }
            None => self.wait_by_rank(partition, None).await,
        }
        let compare = match seen {
            Some(seen) => Compare::RevisionIs(keys::leader(partition), seen.revision),
            None => Compare::Absent(keys::leader(partition)),
        };
        self.put_leader(partition, compare, self.record(None), lease).await
    }

    /// Lets those go first that are better placed; `gone` is not among them.
    async fn wait_by_rank(&self, partition: Partition, gone: Option<&LeaderRecord>) {
        let nodes = self.nodes.now();
        let lives = |node: &&NodeRecord| gone.is_none_or(|gone| gone.life != node.life);
        let ranked = ranked(partition, nodes.values().map(|node| &node.record).filter(lives));
        let rank = ranked.iter().position(|name| *name == self.membership.me().name);
        sleep(RANK_DELAY * rank.unwrap_or(FOLLOWERS + 1) as u32).await;
    }

    /// Returns once a leader is dead for sure: its host says that nobody listens there any
    /// more. One that is only out of reach keeps its partition as long as its lease.
    async fn dead(&self, leader: &LeaderRecord) {
        let Ok(channel) = self.channels.get(&leader.address, Some(&leader.node)) else {
            return std::future::pending().await;
        };
        loop {
            match timeout(RECONNECT_MAX, channel.connect()).await {
                Ok(Ok(link)) => link.closed().await,
                Ok(Err(error)) if error.is_refused() => return,
                Ok(Err(_)) | Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// What this node's record says.
    pub(super) fn record(&self, epoch: Option<u64>) -> LeaderRecord {
        let me = self.membership.me();
        LeaderRecord { node: me.name.clone(), life: me.life, address: me.address.clone(), epoch }
    }

    /// Writes who leads; nothing if somebody else did meanwhile.
    pub(super) async fn put_leader(
        &self,
        partition: Partition,
        compare: Compare,
        record: LeaderRecord,
        lease: LeaseId,
    ) -> Result<Option<Revision>, MetaStoreError> {
        let put = Op::PutLeased(keys::leader(partition), keys::encode(&record), lease);
        match self.store.transact(Txn { compares: vec![compare], ops: vec![put] }).await? {
            TxnOutcome::Committed(revision) => Ok(Some(revision)),
            TxnOutcome::Conflict => Ok(None),
        }
    }

    /// Lets whoever can lead the partition, if it is this node's to lead by now.
    pub(super) async fn give_up(&self, partition: Partition) {
        if let Err(error) = self.delete_own(partition).await {
            tracing::warn!(%partition, error = &error as &dyn std::error::Error,
                "a partition could not be given up; it ends with this node's lease");
        }
    }

    async fn delete_own(&self, partition: Partition) -> Result<(), MetaStoreError> {
        let key = keys::leader(partition);
        let Some(found) = self.store.get(&key).await? else { return Ok(()) };
        let leader = keys::decode::<LeaderRecord>(&found.value);
        if leader.is_ok_and(|leader| leader.life == self.membership.me().life) {
            // If it changed meanwhile, it is another's.
            self.store
                .transact(Txn::new().unchanged(key.clone(), found.revision).delete(key))
                .await?;
        }
        Ok(())
    }

    /// The node that should lead instead of this one, if it is there and able to.
    pub(super) fn better(&self, partition: Partition) -> Option<NodeName> {
        let nodes = self.nodes.now();
        let ranked = ranked(partition, nodes.values().map(|node| &node.record));
        ranked.into_iter().next().filter(|name| *name != self.membership.me().name)
    }
}
