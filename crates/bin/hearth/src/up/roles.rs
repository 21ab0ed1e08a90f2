//! The roles of a one-machine server, wired to each other: their start, their
//! service and their end.

use super::housekeeping::Housekeeping;
use super::objects::ObjectsPlace;
use super::worker::{Images, OpenWorker};
use super::{UpArgs, credentials, data_dir::DataDir, host, stores};
use crate::commands::page_server::Keys;
use crate::operator::{Desk, SnapshotDesk};
use anyhow::Context;
use hearth_assignment::{AssignmentOptions, AssignmentService};
use hearth_control::{ControlDeps, ControlService};
use hearth_frontend::{Frontend, FrontendDeps, FrontendOptions};
use hearth_function_logs::LogStore;
use hearth_images::HeldImages;
use hearth_lambda_api::request::REQUEST_BYTES_MAX;
use hearth_metastore::RedbStore;
use hearth_placement::PlacementService;
use hearth_services::logs::OnlyLogs;
use hearth_services::metastore::{MetaStore, MetaStoreError};
use hearth_services::worker::WorkerDirectory;
use hearth_snapshot_store::SnapshotStore;
use hearth_tasks::spawn;
use hearth_vmm::VmDriver;
use hearth_worker::{LocalWorker, WorkerService};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How often logs are looked at for what is too old or too much: a function fills
/// its own in less, and an account with many functions its bound many times over.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);

/// Running roles.
pub(crate) struct Roles {
    metastore: Arc<dyn MetaStore>,
    control: Arc<ControlService>,
    logs: Arc<LogStore>,
    worker: Arc<WorkerService>,
    driver: Arc<dyn VmDriver>,
    _held_images: HeldImages,
    frontend: Frontend,
    assignment: Arc<AssignmentService>,
    housekeeping: Arc<Housekeeping>,
    snapshots: Option<SnapshotStore>,
}

impl Roles {
    /// Opens the stores, clears away what a crash left, and wires the roles.
    pub(crate) async fn start(args: &UpArgs, data: &DataDir) -> anyhow::Result<Self> {
        let images = Images::open(&args.host)?;
        let metastore: Arc<dyn MetaStore> = Arc::new(RedbStore::open(&data.metastore())?);
        let place = ObjectsPlace::of(args, data);
        let objects = place.open(&*metastore).await?;
        let logs =
            Arc::new(LogStore::open(data.logs()).context("cannot open the functions' logs")?);
        let memory = host::share_memory(args.host.memory_limit.map(|mib| mib * 1024 * 1024))?;
        let stores =
            stores::open(data, &place, objects, Keys::Of(&data.keyring()), stores::GRACE).await?;
        let runtimes = images.runtimes();
        let OpenWorker { worker, driver, snapshots_taken, chunks, _held_images } =
            images.open_worker(&args.host, data, memory.sandboxes, stores, Arc::clone(&logs))?;
        let control = Arc::new(ControlService::new(ControlDeps {
            metastore: Arc::clone(&metastore),
            chunks: chunks.clone(),
            work_dir: data.control(),
            runtimes,
            snapshots: Some(Arc::new(LocalWorker(Arc::clone(&worker)))),
        })?);
        if let Some((account, key)) = control.ensure_default().await? {
            credentials::write(&data.credentials(), &key)
                .context("cannot write the credentials file")?;
            tracing::info!(account = %account.id, credentials = %data.credentials().display(),
                "made the first account");
        } else if !data.credentials().exists() {
            tracing::warn!(
                "{} is gone, and secrets are shown only once: `hearth accounts rotate-key` \
                 makes a new key",
                data.credentials().display()
            );
        }
        control.sweep().await.context("cannot clear away what a crash left in the stores")?;
        let workers: Arc<dyn WorkerDirectory> = Arc::new(LocalWorker(Arc::clone(&worker)));
        let assignment = AssignmentService::new(
            AssignmentOptions { keep_alive: args.keep_alive, ..AssignmentOptions::default() },
            Arc::new(PlacementService::new(Arc::clone(&workers))),
            Arc::clone(&workers),
        );
        let options = FrontendOptions {
            connections_max: host::connections_max(),
            payload_bytes_max: memory.payloads,
            shutdown_grace: args.shutdown_grace,
            ..FrontendOptions::default()
        };
        if options.body_bytes_max() < REQUEST_BYTES_MAX {
            tracing::warn!(
                "sandboxes leave little memory, so uploads above {} MiB are refused: \
                 --memory-limit can give sandboxes less",
                options.body_bytes_max() / 1024 / 1024
            );
        }
        let frontend = Frontend::new(
            FrontendDeps {
                is_ready: Arc::new(|| true),
                metastore: Arc::clone(&metastore),
                control: Arc::clone(&control) as _,
                assignment: Arc::clone(&assignment) as _,
                workers,
                logs: Arc::new(OnlyLogs(Arc::clone(&logs) as _)),
                code: chunks,
            },
            options,
        );
        Ok(Self {
            metastore,
            logs,
            driver,
            _held_images,
            frontend,
            assignment,
            housekeeping: Arc::new(Housekeeping::new(
                Arc::clone(&control),
                Arc::clone(&worker),
                args.gc_grace,
            )),
            snapshots: snapshots_taken,
            control,
            worker,
        })
    }

    /// What an operator can ask for.
    pub(crate) fn desk(&self) -> Arc<Desk> {
        let keeper = Arc::clone(&self.housekeeping) as _;
        Arc::new(Desk {
            accounts: Arc::clone(&self.control) as _,
            snapshots: SnapshotDesk::new(self.snapshots.clone(), keeper),
        })
    }

    /// What brings the roles' gauges up to date before they are read.
    pub(crate) fn observer(&self) -> impl Fn() + Send + Sync + 'static {
        let (assignment, worker) = (Arc::clone(&self.assignment), Arc::clone(&self.worker));
        move || {
            assignment.observe();
            worker.observe();
        }
    }

    /// Serves until `stop`; then lets running requests end within their grace,
    /// kills the sandboxes, and removes all that was set up on the host.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let building = CancellationToken::new();
        let builder = spawn("builder", Arc::clone(&self.control).build_snapshots(building.clone()));
        let sweeper = spawn("sweeper", self.housekeeping.run());
        let pruner = spawn("log pruner", prune_forever(self.logs));
        let ended = CancellationToken::new();
        let assignment =
            spawn("assignment", Arc::clone(&self.assignment).run(self.metastore, ended.clone()));
        // Without assignment sandboxes of old code would go on serving.
        let watchdog = spawn("assignment watchdog", stop_with(assignment, stop.clone()));

        if let Err(error) = self.frontend.serve(listener, stop).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "running requests were cut");
        }
        sweeper.abort();
        pruner.abort();
        building.cancel();
        ended.cancel();
        let result = watchdog.await.context("a task panicked")?;
        self.worker.shutdown().await;
        // The worker's end is the end of the builds that run on it.
        builder.await.context("the builder of snapshots panicked")?;
        self.driver.shutdown().await;
        result
    }
}

/// Waits for assignment's end, which stops everything.
async fn stop_with(
    assignment: JoinHandle<Result<(), MetaStoreError>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let _stop_when_it_ends = stop.drop_guard();
    assignment.await.context("assignment panicked")?.context("assignment failed")
}

pub(crate) async fn prune_forever(logs: Arc<LogStore>) {
    loop {
        let logs = Arc::clone(&logs);
        let pruned = tokio::task::spawn_blocking(move || logs.prune()).await;
        if let Err(error) = pruned.map_err(std::io::Error::other).and_then(|pruned| pruned) {
            tracing::warn!(%error, "functions' logs cannot be pruned");
        }
        tokio::time::sleep(PRUNE_INTERVAL).await;
    }
}
