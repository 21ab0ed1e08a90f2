//! `Assignment` for a front end: each call goes to the leader of its function's partition,
//! wherever that is now. While there is none, calls wait for the next.

use crate::assignment_calls;
use crate::leaders::{Leaders, NotLed};
use crate::partition::partition_of;
use crate::view::{Records, View};
use async_trait::async_trait;
use hearth_rpc::{CallError, Channels};
use hearth_services::assignment::{
    AcquireError, Acquired, Assignment, Disposition, SandboxInfo,
};
use hearth_services::cluster::{LeaderRecord, NodeRecord, Role};
use hearth_services::keys;
use hearth_types::{
    AccountId, FunctionVersion, Hold, NodeLife, Partition, SandboxId, StartKind,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

/// How long an acquire waits for a leader: longer than any failover takes, shorter than
/// clients wait.
const LEADER_WAIT_MAX: Duration = Duration::from_secs(15);
/// How long a release is tried; a leader that is not told finds out by itself.
const RELEASE_WAIT_MAX: Duration = Duration::from_secs(15);
/// Pause before the same leader is tried again; word of another ends it.
const PAUSE: Duration = Duration::from_millis(50);

/// The router.
pub struct Router {
    leaders: View<LeaderRecord>,
    nodes: View<NodeRecord>,
    channels: Channels,
    partitions: u16,
    /// What is led in this process, and in which life.
    own: Option<(NodeLife, Arc<dyn Leaders>)>,
    /// Releases that are tried again.
    releases: TaskTracker,
}

impl Router {
    /// To the leaders of `partitions`.
    pub fn new(
        leaders: View<LeaderRecord>,
        nodes: View<NodeRecord>,
        channels: Channels,
        partitions: u16,
        own: Option<(NodeLife, Arc<dyn Leaders>)>,
    ) -> Arc<Self> {
        let releases = TaskTracker::new();
        Arc::new(Self { leaders, nodes, channels, partitions, own, releases })
    }

    /// Waits for what is under way.
    pub async fn shutdown(&self) {
        self.releases.close();
        self.releases.wait().await;
    }

    /// Tries `call` at one leader after the other until one does it.
    async fn with_leader<T>(
        &self,
        partition: Partition,
        patience: Duration,
        call: impl AsyncFn(&LeaderRecord) -> Tried<T>,
    ) -> Result<T, Unserved> {
        let deadline = Instant::now() + patience;
        let mut leaders = self.leaders.subscribe();
        loop {
            let leader = serving(&leaders.borrow_and_update(), partition);
            let why = match leader {
                Some(leader) => match call(&leader).await {
                    Tried::Done(done) => return Ok(done),
                    Tried::Again(why) => why,
                },
                None => Unserved::NoLeader(partition),
            };
            if Instant::now() >= deadline {
                return Err(why);
            }
            // The store's watch may be late, so a leader that fails is tried on.
            let _changed = timeout(PAUSE, leaders.changed()).await;
        }
    }

    fn own(&self, leader: &LeaderRecord) -> Option<&Arc<dyn Leaders>> {
        self.own.as_ref().filter(|(life, _)| *life == leader.life).map(|(_, own)| own)
    }

    async fn acquire_at(
        &self,
        leader: &LeaderRecord,
        partition: Partition,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
    ) -> Tried<Result<Acquired, AcquireError>> {
        let answer = match self.own(leader) {
            Some(own) => Ok(own.acquire(partition, version, quickest).await),
            None => match self.channels.get(&leader.address, Some(&leader.node)) {
                Ok(channel) => {
                    assignment_calls::acquire(&channel, partition, version, quickest).await
                }
                Err(full) => return Tried::Again(Unserved::Channel(full)),
            },
        };
        match answer {
            // It was told in the middle that its time is over.
            Ok(Ok(Err(AcquireError::Unserved(why)))) => Tried::Again(Unserved::Leader(why)),
            Ok(Ok(acquired)) => Tried::Done(acquired),
            Ok(Err(NotLed)) => Tried::Again(Unserved::NotLed(NotLed)),
            // If one was acquired, nobody uses it, and its leader finds out.
            Err(error) => Tried::Again(Unserved::Call(error)),
        }
    }

    async fn release_at(
        &self,
        leader: &LeaderRecord,
        sandbox: SandboxId,
        hold: Hold,
        disposition: Disposition,
    ) -> Tried<()> {
        let answer = match self.own(leader) {
            Some(own) => Ok(own.release(sandbox, hold, disposition).await),
            None => match self.channels.get(&leader.address, Some(&leader.node)) {
                Ok(channel) => {
                    assignment_calls::release(&channel, sandbox, hold, disposition).await
                }
                Err(full) => return Tried::Again(Unserved::Channel(full)),
            },
        };
        match answer {
            Ok(Ok(())) => Tried::Done(()),
            Ok(Err(NotLed)) => Tried::Again(Unserved::NotLed(NotLed)),
            // A second release of the same hold changes nothing.
            Err(error) => Tried::Again(Unserved::Call(error)),
        }
    }

    async fn release_within(
        &self,
        sandbox: SandboxId,
        hold: Hold,
        disposition: Disposition,
        patience: Duration,
    ) -> Result<(), Unserved> {
        self.with_leader(hold.reign.partition, patience, async |leader| {
            self.release_at(leader, sandbox, hold, disposition).await
        })
        .await
    }
}

/// What came of one try.
enum Tried<T> {
    Done(T),
    Again(Unserved),
}

/// Why nobody served.
#[derive(Debug, thiserror::Error)]
enum Unserved {
    #[error("partition {0} has no leader")]
    NoLeader(Partition),
    #[error(transparent)]
    NotLed(NotLed),
    #[error("the leader could not go on")]
    Leader(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the leader was not asked")]
    Channel(#[source] hearth_rpc::PoolFull),
    #[error("the leader did not answer")]
    Call(#[source] CallError),
}

/// The leader that serves now.
fn serving(leaders: &Records<LeaderRecord>, partition: Partition) -> Option<LeaderRecord> {
    let leader = &leaders.get(&keys::leader(partition))?.record;
    leader.epoch.is_some().then(|| leader.clone())
}

/// For releases that go on after their call.
struct Releasing {
    router: Arc<Router>,
    sandbox: SandboxId,
    hold: Hold,
    disposition: Disposition,
}

impl Releasing {
    async fn run(self) {
        let Self { router, sandbox, hold, disposition } = self;
        let released = router.release_within(sandbox, hold, disposition, RELEASE_WAIT_MAX).await;
        if let Err(error) = released {
            tracing::warn!(%sandbox, error = &error as &dyn std::error::Error,
                "a sandbox could not be given back; its leader will find out");
        }
    }
}

#[async_trait]
impl Assignment for Arc<Router> {
    async fn acquire(
        &self,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
    ) -> Result<Acquired, AcquireError> {
        let partition =
            partition_of(&version.key.account, &version.key.function, self.partitions);
        self.with_leader(partition, LEADER_WAIT_MAX, async |leader| {
            self.acquire_at(leader, partition, version, quickest).await
        })
        .await
        .unwrap_or_else(|unserved| Err(AcquireError::Unserved(Box::new(unserved))))
    }

    async fn release(&self, sandbox: SandboxId, hold: Hold, disposition: Disposition) {
        // Once while the caller waits, so that its next event finds it idle.
        if self.release_within(sandbox, hold, disposition, Duration::ZERO).await.is_err() {
            let router = Arc::clone(self);
            let releasing = Releasing { router, sandbox, hold, disposition };
            hearth_tasks::spawn_tracked(&self.releases, "release", releasing.run());
        }
    }

    async fn list(&self, account: &AccountId) -> Vec<SandboxInfo> {
        let mut all = Vec::new();
        for node in self.nodes.now().values() {
            let node = &node.record;
            if !node.roles.contains(&Role::Assignment) {
                continue;
            }
            if let Some((life, own)) = &self.own
                && *life == node.life
            {
                all.extend(own.list(account).await);
                continue;
            }
            let Ok(channel) = self.channels.get(&node.address, Some(&node.name)) else { continue };
            match assignment_calls::list(&channel, account).await {
                Ok(listed) => all.extend(listed),
                Err(error) => {
                    tracing::warn!(node = %node.name, error = &error as &dyn std::error::Error,
                        "the sandboxes of a node's partitions are not listed");
                }
            }
        }
        all.sort_by_key(|sandbox| (sandbox.created, sandbox.id));
        all
    }
}
