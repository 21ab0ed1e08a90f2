//! `Assignment` for a front end: each call goes to the leader of its function's partition,
//! wherever that is now. While there is none, calls wait for the next.

use crate::assignment_calls;
use crate::leaders::{Idle, Leaders, NotLed};
use crate::leading::Leading;
use crate::partition::partition_of;
use crate::view::{Records, View};
use crate::warm_calls::WarmWays;
use async_trait::async_trait;
use hearth_rpc::{CallError, Channels, GatheredError};
use hearth_services::assignment::{AcquireError, Acquired, Assignment, Disposition, SandboxInfo};
use hearth_services::cluster::{LeaderRecord, NodeRecord, Role};
use hearth_types::{
    AccountId, FunctionVersion, Hold, NodeLife, Partition, SandboxId, StageTimes, StartKind,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

/// How long an acquire waits for a leader: longer than any failover takes, shorter than
/// clients wait.
const LEADER_WAIT_MAX: Duration = Duration::from_secs(15);
/// How long a release is tried; a leader that is not told finds out by itself.
const RELEASE_WAIT_MAX: Duration = Duration::from_secs(15);
/// Pause before the same leader is tried again; word of another ends it.
const PAUSE: Duration = Duration::from_millis(50);

/// The router. Cheap to clone.
#[derive(Clone)]
pub struct Router(Arc<Shared>);

struct Shared {
    leading: Leading,
    nodes: View<NodeRecord>,
    channels: Channels,
    warm: WarmWays,
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
    ) -> Self {
        let releases = TaskTracker::new();
        let warm = WarmWays::default();
        let leading = Leading::new(leaders, partitions);
        Self(Arc::new(Shared { leading, nodes, channels, warm, partitions, own, releases }))
    }

    /// Waits for what is under way.
    pub async fn shutdown(&self) {
        self.0.releases.close();
        self.0.releases.wait().await;
    }
}

impl Shared {
    fn search(&self, partition: Partition, deadline: Instant) -> Search<'_> {
        let changes = self.leading.view().subscribe();
        Search { partition, deadline, leading: &self.leading, changes }
    }

    fn partition(&self, version: &FunctionVersion) -> Partition {
        partition_of(&version.key.account, &version.key.function, self.partitions)
    }

    fn own(&self, leader: &LeaderRecord) -> Option<&Arc<dyn Leaders>> {
        self.own.as_ref().filter(|(life, _)| *life == leader.life).map(|(_, own)| own)
    }

    /// An idle sandbox, if the leader has one.
    async fn acquire_idle_at(
        &self,
        leader: &LeaderRecord,
        partition: Partition,
        version: &Arc<FunctionVersion>,
    ) -> Tried<Option<Idle>> {
        let answer = match self.own(leader) {
            Some(own) => Ok(own.acquire_idle(partition, &version.key)),
            None => match self.warm.to(leader, self.leading.view(), &self.channels) {
                Ok(way) => way.acquire(partition, version).await,
                Err(full) => return Tried::Again(Unserved::Channel(full)),
            },
        };
        match answer {
            Ok(Ok(idle)) => Tried::Done(idle),
            Ok(Err(NotLed)) => Tried::Again(Unserved::NotLed(NotLed)),
            // If one was acquired, nobody uses it, and its leader finds out.
            Err(error) => Tried::Again(Unserved::Warm(error)),
        }
    }

    /// A new sandbox, unless one is idle by now.
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
            Some(own) => Ok(own.release(sandbox, hold, disposition)),
            None => match self.warm.to(leader, self.leading.view(), &self.channels) {
                Ok(way) => way.release(sandbox, hold, disposition).await,
                Err(full) => return Tried::Again(Unserved::Channel(full)),
            },
        };
        match answer {
            Ok(Ok(())) => Tried::Done(()),
            Ok(Err(NotLed)) => Tried::Again(Unserved::NotLed(NotLed)),
            // A second release of the same hold changes nothing.
            Err(error) => Tried::Again(Unserved::Warm(error)),
        }
    }

    /// An idle sandbox, if the leader of now has one and says so.
    async fn acquire_at_once(&self, version: &Arc<FunctionVersion>) -> Option<Option<Idle>> {
        let partition = self.partition(version);
        let leader = self.leading.serving(partition)?;
        match self.acquire_idle_at(&leader, partition, version).await {
            Tried::Done(idle) => Some(idle),
            Tried::Again(_) => None,
        }
    }

    /// Whether the leader of now took it back.
    async fn release_at_once(
        &self,
        sandbox: SandboxId,
        hold: Hold,
        disposition: Disposition,
    ) -> bool {
        let Some(leader) = self.leading.serving(hold.reign.partition) else { return false };
        let released = self.release_at(&leader, sandbox, hold, disposition).await;
        matches!(released, Tried::Done(()))
    }

    async fn release_within(
        &self,
        sandbox: SandboxId,
        hold: Hold,
        disposition: Disposition,
        patience: Duration,
    ) -> Result<(), Unserved> {
        let mut search = self.search(hold.reign.partition, Instant::now() + patience);
        let mut leader = search.first().await?;
        loop {
            match self.release_at(&leader, sandbox, hold, disposition).await {
                Tried::Done(()) => return Ok(()),
                Tried::Again(why) => leader = search.next(why).await?,
            }
        }
    }

    async fn acquire_within(
        &self,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
        began: Instant,
        mut asks_for_idle: bool,
    ) -> Result<Result<Acquired, AcquireError>, Unserved> {
        let partition = self.partition(version);
        let mut search = self.search(partition, began + LEADER_WAIT_MAX);
        let mut leader = search.first().await?;
        loop {
            if asks_for_idle {
                match self.acquire_idle_at(&leader, partition, version).await {
                    Tried::Done(Some(idle)) => return Ok(Ok(warm(idle, began))),
                    Tried::Done(None) => {}
                    Tried::Again(why) => {
                        leader = search.next(why).await?;
                        continue;
                    }
                }
            }
            match self.acquire_at(&leader, partition, version, quickest).await {
                Tried::Done(acquired) => return Ok(acquired),
                Tried::Again(why) => {
                    leader = search.next(why).await?;
                    // The next may have some.
                    asks_for_idle = quickest == StartKind::Warm;
                }
            }
        }
    }
}

/// The way from one leader of a partition to the next.
struct Search<'a> {
    partition: Partition,
    deadline: Instant,
    leading: &'a Leading,
    changes: watch::Receiver<Records<LeaderRecord>>,
}

impl Search<'_> {
    /// The leader that serves; waits for one.
    async fn first(&mut self) -> Result<Arc<LeaderRecord>, Unserved> {
        loop {
            self.changes.mark_unchanged();
            if let Some(leader) = self.leading.serving(self.partition) {
                return Ok(leader);
            }
            self.pause(Unserved::NoLeader(self.partition)).await?;
        }
    }

    /// The leader to try after one that did not serve, which may be the same: word of
    /// another may be late.
    async fn next(&mut self, why: Unserved) -> Result<Arc<LeaderRecord>, Unserved> {
        self.pause(why).await?;
        self.first().await
    }

    async fn pause(&mut self, why: Unserved) -> Result<(), Unserved> {
        if Instant::now() >= self.deadline {
            return Err(why);
        }
        let _changed = timeout(PAUSE, self.changes.changed()).await;
        Ok(())
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
    #[error("the leader did not answer")]
    Warm(#[source] GatheredError),
}

fn warm(Idle { sandbox, worker, hold }: Idle, began: Instant) -> Acquired {
    let stages = StageTimes { assign: began.elapsed(), ..StageTimes::default() };
    Acquired { sandbox, worker, hold, start: StartKind::Warm, stages }
}

/// For releases that go on after their call.
struct Releasing {
    router: Router,
    sandbox: SandboxId,
    hold: Hold,
    disposition: Disposition,
}

impl Releasing {
    async fn run(self) {
        let Self { router, sandbox, hold, disposition } = self;
        let released = router.0.release_within(sandbox, hold, disposition, RELEASE_WAIT_MAX).await;
        if let Err(error) = released {
            tracing::warn!(%sandbox, error = &error as &dyn std::error::Error,
                "a sandbox could not be given back; its leader will find out");
        }
    }
}

#[async_trait]
impl Assignment for Router {
    async fn acquire(
        &self,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
    ) -> Result<Acquired, AcquireError> {
        let began = Instant::now();
        let has_idle = match quickest {
            StartKind::Warm => self.0.acquire_at_once(version).await,
            _ => Some(None),
        };
        if let Some(Some(idle)) = has_idle {
            return Ok(warm(idle, began));
        }
        // Apart, so that what a warm call takes is small.
        match Box::pin(self.0.acquire_within(version, quickest, began, has_idle.is_none())).await {
            Ok(acquired) => acquired,
            Err(unserved) => Err(AcquireError::Unserved(Box::new(unserved))),
        }
    }

    async fn release(&self, sandbox: SandboxId, hold: Hold, disposition: Disposition) {
        // Once while the caller waits, so that its next event finds it idle.
        if !self.0.release_at_once(sandbox, hold, disposition).await {
            let router = self.clone();
            let releasing = Releasing { router, sandbox, hold, disposition };
            hearth_tasks::spawn_tracked(&self.0.releases, "release", releasing.run());
        }
    }

    async fn list(&self, account: &AccountId) -> Vec<SandboxInfo> {
        let mut all = Vec::new();
        for node in self.0.nodes.now().values() {
            let node = &node.record;
            if !node.roles.contains(&Role::Assignment) {
                continue;
            }
            if let Some((life, own)) = &self.0.own
                && *life == node.life
            {
                all.extend(own.list(account).await);
                continue;
            }
            let Ok(channel) = self.0.channels.get(&node.address, Some(&node.name)) else {
                continue;
            };
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
