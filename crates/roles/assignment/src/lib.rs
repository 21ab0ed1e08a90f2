//! The assignment role: knows every sandbox, hands an idle one to each
//! invocation or has a new one made, takes it back, and reaps what is idle too
//! long or belongs to a version that is no more.
//!
//! What is decided, and why, is in `hearth-sandboxes`; here it is carried out: sandboxes
//! are had made and killed, workers are asked, and what must outlive a leader is written down.
//!
//! Here it is for one partition of the functions, in the time of one leader. On one machine
//! that is all there is, and the state is in memory: a process that dies takes its sandboxes
//! with it. In a cluster what outlives a leader is written down (`ownership`), and the
//! next asks the workers for the rest (`reconcile`).
#![forbid(unsafe_code)]

mod acquire;
mod ahead;
mod cluster;
mod kills;
mod ledger;
mod metrics;
mod ownership;
mod reaper;
mod reconcile;
mod room;
mod updates;

use async_trait::async_trait;
use cluster::Surroundings;
use hearth_sandboxes::{Keeper, Missing, Moment, Running, Table};
use hearth_services::assignment::{
    AcquireError, Acquired, Assignment, Disposition, SandboxInfo, SandboxState,
};
use hearth_services::metastore::{MetaStore, MetaStoreError};
use hearth_services::placement::Placement;
use hearth_services::worker::WorkerDirectory;
use hearth_types::{
    AccountId, FunctionVersion, Hold, Reign, SandboxId, StartKind, Timestamp, WorkerId,
};
use kills::Kills;
use ledger::{Ledger, Record};
use ownership::Ownership;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use cluster::{Followed, Led, PartitionsDeps, PartitionsService};
pub use ledger::BadEntry;
pub use metrics::register_metrics;

/// How often a leader looks whether its journal has grown long.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// How assignment behaves.
#[derive(Clone, Copy, Debug)]
pub struct AssignmentOptions {
    /// How long an idle sandbox is kept at most; and where nothing is known of how its
    /// version is called, how long it is kept.
    pub keep_alive: Duration,
    /// Invocations that one account may have running at once.
    pub account_concurrency_max: usize,
}

impl Default for AssignmentOptions {
    fn default() -> Self {
        Self {
            keep_alive: Duration::from_secs(600),
            account_concurrency_max: hearth_types::ACCOUNT_CONCURRENCY_MAX,
        }
    }
}

/// The service. Cheap to clone through its `Arc`.
pub struct AssignmentService {
    options: AssignmentOptions,
    reign: Reign,
    /// What moments are counted from.
    began: Instant,
    placement: Arc<dyn Placement>,
    workers: Arc<dyn WorkerDirectory>,
    /// Its lock is held for microseconds and never across an await.
    table: Mutex<Table>,
    /// Where it is written down whose sandboxes are; nowhere on one machine.
    ownership: Option<Arc<Ownership>>,
    /// All partitions, this one among them; on one machine there is no other.
    surroundings: Option<Surroundings>,
    missing: Mutex<Missing>,
    /// Locked before the table where both are.
    keeper: Mutex<Keeper>,
    /// A worker said that another leads.
    over: CancellationToken,
    /// Whether the cluster believes that this process lives.
    is_believed: Box<dyn Fn() -> bool + Send + Sync>,
    /// What is being killed.
    kills: Kills,
    /// The tasks that do so, for shutdown to wait for.
    killers: TaskTracker,
    /// Records on their way to the journal.
    notes: TaskTracker,
    /// Sandboxes that are being made though nobody waits for them.
    ahead: TaskTracker,
}

impl AssignmentService {
    /// The only one, that knows no sandbox yet.
    pub fn new(
        options: AssignmentOptions,
        placement: Arc<dyn Placement>,
        workers: Arc<dyn WorkerDirectory>,
    ) -> Arc<Self> {
        let running = Running::new(options.account_concurrency_max);
        Arc::new(Self::of(Reign::ALONE, None, running, options, placement, workers))
    }

    fn of(
        reign: Reign,
        ownership: Option<Arc<Ownership>>,
        running: Arc<Running>,
        options: AssignmentOptions,
        placement: Arc<dyn Placement>,
        workers: Arc<dyn WorkerDirectory>,
    ) -> Self {
        Self {
            options,
            reign,
            began: Instant::now(),
            placement,
            workers,
            table: Mutex::new(Table::new(reign, running)),
            ownership,
            surroundings: None,
            missing: Mutex::default(),
            keeper: Mutex::new(Keeper::new(options.keep_alive)),
            over: CancellationToken::new(),
            is_believed: Box::new(|| true),
            kills: Kills::new(),
            killers: TaskTracker::new(),
            notes: TaskTracker::new(),
            ahead: TaskTracker::new(),
        }
    }

    /// A leader of what `ledger` says, as long as `is_believed`.
    fn led_while(
        mut self,
        is_believed: Box<dyn Fn() -> bool + Send + Sync>,
        ledger: Ledger,
        surroundings: Surroundings,
    ) -> Self {
        self.is_believed = is_believed;
        self.surroundings = Some(surroundings);
        let now = self.now();
        let table = self.table.get_mut();
        for (id, owned) in ledger.sandboxes {
            table.inherit(id, owned, now);
        }
        self
    }

    fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    fn moment(&self, at: Instant) -> Moment {
        Moment { at: at.duration_since(self.began), day: Timestamp::now() }
    }

    /// Whether this leader's time is not over, as far as it can know.
    fn may_serve(&self) -> bool {
        !self.over.is_cancelled() && (self.is_believed)()
    }

    /// Does what a leader does beside serving, until another leads.
    async fn lead(self: Arc<Self>, store: &Arc<dyn MetaStore>) -> Result<(), MetaStoreError> {
        let Some(ownership) = self.ownership.clone() else { return Ok(()) };
        tokio::select! {
            () = ownership.deposed() => {}
            () = self.over.cancelled() => {}
            never = self.reap_forever(store) => match never {},
            never = self.reconcile_forever() => match never {},
            never = self.checkpoint_forever(&ownership) => match never {},
            error = self.follow_versions(&**store) => return Err(error),
        }
        Ok(())
    }

    /// Serves nobody any more; sandboxes live on, for the next leader. Kills under way are
    /// not waited for: what they leave is nobody's, and the next leader kills it.
    fn step_down(&self) {
        self.over.cancel();
        self.table.lock().resign();
    }

    /// Keeps what a new leader or follower has to read short.
    async fn checkpoint_forever(&self, ownership: &Ownership) -> Infallible {
        loop {
            tokio::time::sleep(CHECKPOINT_INTERVAL).await;
            if ownership.is_long()
                && let Err(error) = ownership.checkpoint(|| self.table.lock().owned()).await
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "no checkpoint of the journal could be written; trying again"
                );
            }
        }
    }

    /// How many sandboxes there are of each state.
    fn count(&self) -> [usize; SandboxState::ALL.len()] {
        self.table.lock().count()
    }

    /// Of how many versions it is known how they were called.
    fn known(&self) -> usize {
        self.keeper.lock().versions()
    }

    /// Reaps, and follows the store's versions, until `shutdown`; then kills
    /// every sandbox that is left and returns.
    pub async fn run(
        self: Arc<Self>,
        store: Arc<dyn MetaStore>,
        shutdown: CancellationToken,
    ) -> Result<(), MetaStoreError> {
        let result = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            never = self.reap_forever(&store) => match never {},
            never = self.reconcile_forever() => match never {},
            error = self.follow_versions(store.as_ref()) => Err(error),
        };
        let left = self.table.lock().take_all();
        for (sandbox, worker) in left {
            self.kill_in_background(sandbox, worker);
        }
        self.killers.close();
        self.killers.wait().await;
        result
    }

    fn give_back(&self, sandbox: SandboxId, hold: Hold, disposition: Disposition) {
        let now = self.now();
        let (owned, doomed) = {
            let mut table = self.table.lock();
            let is_missing = disposition == Disposition::Missing;
            let owned = is_missing.then(|| table.owned_of(sandbox)).flatten();
            (owned, table.release(sandbox, hold, disposition, now))
        };
        if let Some(worker) = doomed {
            if let Some(owned) = owned {
                tracing::info!(%sandbox, %worker, "what a worker created could not be used");
                self.placement.doubt(&owned.key, &worker);
            }
            metrics::ended(metrics::End::Discarded, 1);
            self.kill_in_background(sandbox, worker);
        }
    }

    fn kill_in_background(&self, sandbox: SandboxId, worker: WorkerId) {
        self.note_in_background(Record::Ended(sandbox));
        self.order_kill(sandbox, worker);
    }

    /// Has it killed in the background, if its worker is there.
    fn order_kill(&self, sandbox: SandboxId, worker: WorkerId) {
        let Some(worker) = self.workers.worker(&worker) else { return };
        let (kill, reign) = (self.kills.begin(sandbox), self.reign);
        hearth_tasks::spawn_tracked(&self.killers, "kill", async move {
            worker.kill(sandbox, reign).await;
            drop(kill);
        });
    }

    fn note_in_background(&self, record: Record) {
        if let Some(ownership) = self.ownership.clone() {
            hearth_tasks::spawn_tracked(&self.notes, "note of a sandbox", async move {
                ownership.note(record).await;
            });
        }
    }
}

#[async_trait]
impl Assignment for AssignmentService {
    async fn acquire(
        &self,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
    ) -> Result<Acquired, AcquireError> {
        let result = self.acquire_or_create(version, quickest).await;
        metrics::acquired(&result);
        result
    }

    async fn release(&self, sandbox: SandboxId, hold: Hold, disposition: Disposition) {
        self.give_back(sandbox, hold, disposition);
    }

    async fn list(&self, account: &AccountId) -> Vec<SandboxInfo> {
        self.table.lock().list(account)
    }
}
