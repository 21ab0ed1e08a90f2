//! This node's part in each partition.

use super::election::Claim;
use super::led::Led;
use super::surroundings::Surroundings;
use crate::ledger::{BadEntry, Ledger};
use crate::ownership::Ownership;
use crate::{AssignmentOptions, AssignmentService};
use hearth_cluster::{Membership, OtherLeaders, View};
use hearth_journal::{JournalError, Reader, Seq};
use hearth_rpc::Channels;
use hearth_services::cluster::{LeaderRecord, NodeRecord};
use hearth_services::keys;
use hearth_services::metastore::{Compare, LeaseId, MetaStore, MetaStoreError};
use hearth_services::placement::Placement;
use hearth_services::worker::WorkerDirectory;
use hearth_types::{Partition, Reign};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Pause before what failed is tried again.
const PAUSE: Duration = Duration::from_millis(300);
/// How often a leader looks whether another should lead.
const BALANCE_INTERVAL: Duration = Duration::from_secs(2);
/// How long another has to be there before it is given a partition: it has to follow it,
/// and a node that comes and goes is none to give anything to.
const BALANCE_AFTER: Duration = Duration::from_secs(10);

/// What a node's part in partitions takes.
pub struct PartitionsDeps {
    /// Where the journals are.
    pub store: Arc<dyn MetaStore>,
    /// Into how many partitions functions are divided.
    pub partitions: u16,
    /// This node's place.
    pub membership: Arc<Membership>,
    /// All nodes.
    pub nodes: View<NodeRecord>,
    /// All leaders.
    pub leaders: View<LeaderRecord>,
    /// The ways to other nodes.
    pub channels: Channels,
    /// Has sandboxes created.
    pub placement: Arc<dyn Placement>,
    /// Finds workers.
    pub workers: Arc<dyn WorkerDirectory>,
}

/// This node's part in all partitions.
pub struct PartitionsService {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) store: Arc<dyn MetaStore>,
    pub(super) partitions: u16,
    pub(super) membership: Arc<Membership>,
    pub(super) nodes: View<NodeRecord>,
    pub(super) leaders: View<LeaderRecord>,
    pub(super) channels: Channels,
    options: AssignmentOptions,
    placement: Arc<dyn Placement>,
    workers: Arc<dyn WorkerDirectory>,
    led: Arc<Led>,
    surroundings: Surroundings,
    /// Up to which entry of which journal this node has followed.
    followed: Mutex<BTreeMap<Partition, Seq>>,
}

/// What a node follows, for those who ask. Cheap to clone.
#[derive(Clone)]
pub struct Followed(Arc<Shared>);

impl Followed {
    /// Each partition, and up to which entry.
    pub fn partitions(&self) -> Vec<(Partition, Seq)> {
        self.0.followed.lock().iter().map(|(partition, upto)| (*partition, *upto)).collect()
    }
}

/// A reign came to an end, or did not begin.
#[derive(Debug, thiserror::Error)]
enum ReignError {
    #[error("the journal cannot be read or written")]
    Journal(#[from] JournalError),
    #[error(transparent)]
    BadEntry(#[from] BadEntry),
    #[error("the metadata store failed")]
    Store(#[from] MetaStoreError),
}

impl PartitionsService {
    /// A part in none yet.
    pub fn new(options: AssignmentOptions, deps: PartitionsDeps) -> Self {
        let led = Arc::new(Led::new(options.account_concurrency_max));
        let (nodes, channels) = (deps.nodes.clone(), deps.channels.clone());
        let others = OtherLeaders::new(nodes, channels, deps.membership.me().life);
        let shared = Shared {
            store: deps.store,
            partitions: deps.partitions,
            membership: deps.membership,
            nodes: deps.nodes,
            leaders: deps.leaders,
            channels: deps.channels,
            options,
            placement: deps.placement,
            workers: deps.workers,
            surroundings: Surroundings::new(Arc::clone(&led), others),
            led,
            followed: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What this node leads.
    pub fn led(&self) -> Arc<Led> {
        Arc::clone(&self.shared.led)
    }

    /// What this node follows.
    pub fn followed(&self) -> Followed {
        Followed(Arc::clone(&self.shared))
    }

    /// Follows and leads until `stop`; then lets go of what it led, whose sandboxes live on.
    pub async fn run(self, stop: CancellationToken) {
        let mut members = JoinSet::new();
        for number in 0..self.shared.partitions {
            let (shared, stop) = (Arc::clone(&self.shared), stop.clone());
            hearth_tasks::spawn_in(&mut members, "partition", async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    never = shared.take_part(Partition(number)) => match never {},
                }
                shared.led.remove(Partition(number));
                shared.give_up(Partition(number)).await;
            });
        }
        tokio::select! {
            () = all_end(&mut members) => {}
            never = self.shared.surroundings.count_forever() => match never {},
        }
    }
}

/// Waits for all. One that panicked takes the whole with it: it may hold what it no longer
/// does anything for.
async fn all_end(members: &mut JoinSet<()>) {
    while let Some(ended) = members.join_next().await {
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Shared {
    async fn take_part(&self, partition: Partition) -> Infallible {
        loop {
            if let Err(error) = self.follow_then_lead(partition).await {
                tracing::warn!(%partition, error = &error as &dyn std::error::Error,
                    "this node's part in a partition was cut short; beginning again");
                sleep(PAUSE).await;
            }
        }
    }

    async fn follow_then_lead(&self, partition: Partition) -> Result<(), ReignError> {
        let mut reader = Reader::new(Arc::clone(&self.store), partition);
        let mut ledger = Ledger::default();
        let claim = {
            let mut turn = pin!(self.turn(partition));
            loop {
                // Whether it is among the followers changes with the membership.
                let mut nodes = self.nodes.subscribe();
                nodes.mark_unchanged();
                let follows = self.follows(partition);
                if !follows {
                    reader.rest();
                }
                self.note_followed(partition, follows.then_some(ledger.upto));
                tokio::select! {
                    claim = &mut turn => break claim,
                    item = reader.next(), if follows => ledger.take(item?)?,
                    _changed = nodes.changed() => {}
                }
            }
        };
        self.note_followed(partition, None);
        let led = self.lead(reader, ledger, claim).await;
        if led.is_err() {
            // For whoever can.
            self.give_up(partition).await;
        }
        led
    }

    async fn lead(
        &self,
        reader: Reader,
        mut ledger: Ledger,
        claim: Claim,
    ) -> Result<(), ReignError> {
        let partition = claim.partition;
        let began = Instant::now();
        let (items, writer) = reader.lead(self.membership.me().name.as_str()).await?;
        for item in items {
            ledger.take(item)?;
        }
        let reign = Reign { partition, epoch: writer.epoch() };
        let inherited = ledger.sandboxes.len();
        let ownership = Arc::new(Ownership::new(writer));
        let leader = Arc::new(self.leader(reign, ownership, ledger, claim.lease));
        leader.reconcile().await;
        let compare = Compare::RevisionIs(keys::leader(partition), claim.revision);
        let record = self.record(Some(reign.epoch));
        let Some(revision) = self.put_leader(partition, compare, record, claim.lease).await? else {
            tracing::info!(%reign, "another claimed the partition meanwhile");
            return Ok(());
        };
        tracing::info!(%reign, inherited, took = ?began.elapsed(), "leading");
        self.led.insert(partition, Arc::clone(&leader));
        let ended = self.reign(&leader, Claim { revision, ..claim }).await;
        self.led.remove(partition);
        leader.step_down();
        tracing::info!(%reign, "leading no more");
        ended
    }

    fn note_followed(&self, partition: Partition, upto: Option<Seq>) {
        let mut followed = self.followed.lock();
        match upto {
            Some(upto) => followed.insert(partition, upto),
            None => followed.remove(&partition),
        };
    }

    fn leader(
        &self,
        reign: Reign,
        ownership: Arc<Ownership>,
        ledger: Ledger,
        lease: LeaseId,
    ) -> AssignmentService {
        let (placement, workers) = (Arc::clone(&self.placement), Arc::clone(&self.workers));
        let running = Arc::clone(&self.led.running);
        let leader = AssignmentService::of(
            reign,
            Some(ownership),
            running,
            self.options,
            placement,
            workers,
        );
        let membership = Arc::clone(&self.membership);
        let is_believed = Box::new(move || membership.lease() == Some(lease));
        leader.led_while(is_believed, ledger, self.surroundings.clone())
    }

    /// Leads until something ends it.
    async fn reign(&self, leader: &Arc<AssignmentService>, claim: Claim) -> Result<(), ReignError> {
        let partition = leader.reign.partition;
        tokio::select! {
            result = Arc::clone(leader).lead(&self.store) => Ok(result?),
            () = self.membership.lost(claim.lease) => Ok(()),
            () = self.replaced(partition, claim) => Ok(()),
            () = self.another_is_due(partition) => self.hand_over(partition, claim).await,
        }
    }

    /// Returns once the record of who leads is another.
    async fn replaced(&self, partition: Partition, claim: Claim) {
        let mut leaders = self.leaders.subscribe();
        let is_replaced = |now: &hearth_cluster::Records<LeaderRecord>| {
            // Word of the record itself may be late.
            let is_later =
                |seen: &hearth_cluster::Seen<LeaderRecord>| seen.revision > claim.revision;
            now.get(&keys::leader(partition)).is_some_and(is_later)
        };
        // Its sender lives as long as this process.
        let _replaced = leaders.wait_for(is_replaced).await;
    }

    /// Returns once a node that should lead instead has been there for a while.
    async fn another_is_due(&self, partition: Partition) {
        let mut since: Option<(hearth_types::NodeName, Instant)> = None;
        loop {
            sleep(BALANCE_INTERVAL).await;
            let better = self.better(partition);
            since = match (better, since) {
                (Some(now), Some((then, at))) if now == then => Some((then, at)),
                (Some(now), _) => Some((now, Instant::now())),
                (None, _) => None,
            };
            if since.as_ref().is_some_and(|(_, at)| at.elapsed() >= BALANCE_AFTER) {
                return;
            }
        }
    }

    /// Gives the partition to the node that should have it.
    async fn hand_over(&self, partition: Partition, claim: Claim) -> Result<(), ReignError> {
        let nodes = self.nodes.now();
        let Some(name) = self.better(partition) else { return Ok(()) };
        let Some(node) = nodes.get(&keys::node(&name)).map(|node| &node.record) else {
            return Ok(());
        };
        self.led.remove(partition);
        let record = LeaderRecord {
            node: node.name.clone(),
            life: node.life,
            address: node.address.clone(),
            epoch: None,
        };
        let compare = Compare::RevisionIs(keys::leader(partition), claim.revision);
        let lease = hearth_services::metastore::LeaseId(node.lease);
        self.put_leader(partition, compare, record, lease).await?;
        tracing::info!(%partition, to = %name, "handed over");
        Ok(())
    }
}
