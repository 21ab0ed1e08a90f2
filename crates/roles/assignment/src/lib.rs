//! The assignment role: knows every sandbox, hands an idle one to each
//! invocation or has a new one made, takes it back, and reaps what is idle too
//! long or belongs to a version that is no more.
//!
//! ```text
//!                 acquire                        release
//!   ┌─────────┐  (no idle)  ┌──────────┐ made  ┌──────┐ ──────► ┌──────┐
//!   │ nothing │ ──────────► │ starting │ ────► │ busy │ ◄────── │ idle │
//!   └─────────┘             └────┬─────┘       └──┬───┘ acquire └──┬───┘
//!        ▲                       │ failed         │ discarded      │ too long idle,
//!        └───────────────────────┴────────────────┴────────────────┘ evicted, retired
//! ```
//!
//! The state is in memory: a process that dies takes its sandboxes with it.
#![forbid(unsafe_code)]

mod acquire;
mod metrics;
mod reaper;
mod table;
mod updates;

use async_trait::async_trait;
use hearth_services::assignment::{AcquireError, Acquired, Assignment, Disposition, SandboxInfo};
use hearth_services::metastore::MetaStore;
use hearth_services::placement::Placement;
use hearth_services::worker::WorkerDirectory;
use hearth_types::{AccountId, FunctionVersion, SandboxId, StartKind, WorkerId};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use table::Table;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use metrics::register_metrics;
pub use updates::UpdatesError;

/// How assignment behaves.
#[derive(Clone, Copy, Debug)]
pub struct AssignmentOptions {
    /// How long an idle sandbox is kept.
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
    placement: Arc<dyn Placement>,
    workers: Arc<dyn WorkerDirectory>,
    table: Mutex<Table>,
    /// Kills under way, so that shutdown can wait for them.
    kills: TaskTracker,
    /// Changes with each kill that ends: its room is free again.
    killed: watch::Sender<()>,
}

impl AssignmentService {
    /// A service that knows no sandbox yet.
    pub fn new(
        options: AssignmentOptions,
        placement: Arc<dyn Placement>,
        workers: Arc<dyn WorkerDirectory>,
    ) -> Arc<Self> {
        Arc::new(Self {
            options,
            placement,
            workers,
            table: Mutex::new(Table::new(options.account_concurrency_max)),
            kills: TaskTracker::new(),
            killed: watch::Sender::new(()),
        })
    }

    /// Reaps, and follows the store's versions, until `shutdown`; then kills
    /// every sandbox that is left and returns.
    pub async fn run(
        self: Arc<Self>,
        store: Arc<dyn MetaStore>,
        shutdown: CancellationToken,
    ) -> Result<(), UpdatesError> {
        let result = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            never = self.reap_forever() => match never {},
            error = self.follow_versions(store.as_ref()) => Err(error),
        };
        let left = self.table.lock().take_all();
        for (sandbox, worker) in left {
            self.kill_in_background(sandbox, worker);
        }
        self.kills.close();
        self.kills.wait().await;
        result
    }

    fn kill_in_background(&self, sandbox: SandboxId, worker: WorkerId) {
        if let Some(worker) = self.workers.worker(&worker) {
            let killed = self.killed.clone();
            hearth_tasks::spawn_tracked(&self.kills, "kill", async move {
                worker.kill(sandbox).await;
                killed.send_replace(());
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

    async fn release(&self, sandbox: SandboxId, disposition: Disposition) {
        let doomed = self.table.lock().release(sandbox, disposition, Instant::now());
        if let Some(worker) = doomed {
            metrics::ended(metrics::End::Discarded, 1);
            self.kill_in_background(sandbox, worker);
        }
    }

    async fn list(&self, account: &AccountId) -> Vec<SandboxInfo> {
        self.table.lock().list(account)
    }
}
