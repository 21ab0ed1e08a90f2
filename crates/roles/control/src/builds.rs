//! Builds the snapshots of versions that were published with `SnapStart`.
//!
//! ```text
//! publish ──► Pending ──► build ─┬─ built ───────────────────────► Active, snapshot
//!   (record)     ▲               ├─ the function fails to init ──► Failed, why
//!                │               └─ no room, machinery failed ─┬─► Failed, why
//!                └───────── again, later, a few times ◄────────┘
//! ```
//!
//! The `Pending` records are the queue: what is in memory is only when to try which
//! of them, and a start reads it from them. A transition requires that the record is
//! the one that was built of, so a version that was deleted meanwhile stays deleted,
//! and a second build of one changes nothing.

mod attempt;
mod queue;
mod reason;

pub(crate) use queue::Queue;

use crate::metrics::{self, BuildEnd};
use crate::service::ControlService;
use attempt::Attempt;
use hearth_services::keys;
use hearth_services::metastore::{MetaStore, MetaStoreError};
use hearth_services::snapshots::Snapshots;
use hearth_types::{FunctionVersion, State, VersionKey};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Snapshots built at once. Each boots a guest and runs a function's init at full
/// speed, and invokes need the CPU and the memory too.
const BUILDS_MAX: usize = 2;
/// How long builds may take to end once the service stops. The worker that they run
/// on stops too and ends them, so this is for one that does not.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// What is to be built, and word of it.
#[derive(Default)]
pub(crate) struct Builds {
    queue: Mutex<Queue>,
    more: Notify,
}

impl Builds {
    /// A version was published, and perhaps has to be built.
    pub(crate) fn published(&self, version: &FunctionVersion) {
        if is_unbuilt(version) {
            self.queue.lock().add(version.key.clone(), Instant::now());
            self.more.notify_one();
        }
    }
}

fn is_unbuilt(version: &FunctionVersion) -> bool {
    version.state == State::Pending && version.snap_start.is_on()
}

impl ControlService {
    /// Builds what is `Pending`, now and later, until `stop`. Builds that run then
    /// have a few seconds to end; what is left is resumed by the next start.
    ///
    /// Without [`snapshots`](crate::ControlDeps::snapshots) it returns at once.
    pub async fn build_snapshots(self: Arc<Self>, stop: CancellationToken) {
        let Some(snapshots) = self.snapshots.clone() else { return };
        // Builds of an earlier run that were cut off are not under way; the records have them.
        *self.builds.queue.lock() = Queue::default();
        let mut running = Running::default();
        while !stop.is_cancelled() {
            self.scan_if_due().await;
            self.start_due(&snapshots, &mut running);
            let next = self.builds.queue.lock().next_event(running.tasks.len() < BUILDS_MAX);
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.builds.more.notified() => {}
                () = sleep_until(next) => {}
                Some((key, attempt)) = running.next() => self.attempted(key, attempt),
            }
        }
        let ended = async { while running.next().await.is_some() {} };
        if tokio::time::timeout(STOP_GRACE, ended).await.is_err() {
            tracing::warn!("snapshots that are being built were cut off; the next start resumes");
        }
    }

    /// Has built what other processes publish, too. Returns only when the store fails.
    pub async fn follow_published(&self, store: &dyn MetaStore) -> MetaStoreError {
        match self.follow_versions(store).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn follow_versions(&self, store: &dyn MetaStore) -> Result<Infallible, MetaStoreError> {
        let (_, revision) = store.list(keys::VERSIONS, None, 1).await?;
        let mut watch = store.watch(keys::VERSIONS, revision).await?;
        // What was published before: the watch tells of what comes after.
        self.builds.queue.lock().scan_later(Instant::now());
        self.builds.more.notify_one();
        loop {
            for event in watch.next().await? {
                // A record that does not decode is whoever reads it next's to report.
                if let Some(Ok(version)) = event.value.map(|v| keys::decode(&v)) {
                    self.builds.published(&version);
                }
            }
        }
    }

    /// Reads the queue from the records: at the start, and when it did not hold all.
    async fn scan_if_due(&self) {
        if !self.builds.queue.lock().begin_scan(Instant::now()) {
            return;
        }
        let add = |version: FunctionVersion| {
            if is_unbuilt(&version) {
                self.builds.queue.lock().add(version.key, Instant::now());
            }
        };
        let scanned =
            self.records.walk(hearth_services::keys::VERSIONS, |_, version| add(version)).await;
        if let Err(error) = scanned {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot look for versions whose snapshot is to be built; trying again"
            );
            self.builds.queue.lock().scan_later(Instant::now());
        }
    }

    fn start_due(self: &Arc<Self>, snapshots: &Arc<dyn Snapshots>, running: &mut Running) {
        while running.tasks.len() < BUILDS_MAX
            && let Some((key, last)) = self.builds.queue.lock().take(Instant::now())
        {
            let (control, snapshots, of) = (Arc::clone(self), Arc::clone(snapshots), key.clone());
            let attempt = async move { control.attempt(snapshots, &of, last).await };
            let task = hearth_tasks::spawn_in(&mut running.tasks, "snapshot", attempt);
            running.keys.insert(task.id(), key);
        }
    }

    fn attempted(&self, key: VersionKey, attempt: Attempt) {
        metrics::built(match attempt {
            Attempt::Over(end) | Attempt::Again(end) => end,
        });
        let mut queue = self.builds.queue.lock();
        match attempt {
            Attempt::Over(_) => queue.done(&key),
            // It says nothing about the version.
            Attempt::Again(BuildEnd::Stopped) => queue.again_unchanged(&key, Instant::now()),
            Attempt::Again(_) => queue.again(&key, Instant::now()),
        }
    }
}

/// Builds that run.
#[derive(Default)]
struct Running {
    tasks: JoinSet<Attempt>,
    keys: HashMap<Id, VersionKey>,
}

impl Running {
    /// The next one that ends. Cancel-safe.
    async fn next(&mut self) -> Option<(VersionKey, Attempt)> {
        let (id, attempt) = match self.tasks.join_next_with_id().await? {
            Ok(ended) => ended,
            // It panicked, which was logged.
            Err(error) => (error.id(), Attempt::Again(BuildEnd::Failed)),
        };
        let key = self.keys.remove(&id).expect("every build has a key");
        Some((key, attempt))
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
