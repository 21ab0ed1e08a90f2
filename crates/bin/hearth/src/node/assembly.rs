//! The roles of a node, wired to each other and to those of other nodes.

use super::capacity;
use super::cluster::{Cluster, security};
use super::config::NodeConfig;
use super::control;
use super::garbage::{self, Garbage};
use super::health::Readiness;
use super::keeper::NodeKeeper;
use crate::commands::page_server::Keys;
use crate::operator::{Desk, SnapshotDesk};
use crate::up::{
    DataDir, Images, ObjectsPlace, OpenWorker, connections_max, open_stores, prune_forever,
    share_memory,
};
use anyhow::{Context, ensure};
use hearth_assignment::{AssignmentOptions, Followed, Led, PartitionsDeps, PartitionsService};
use hearth_capacity::CapacityService;
use hearth_cluster::{
    ClusterLogs, Leaders, Membership, NodeStatus, RemoteSnapshots, Router, Workers, may_call,
    serve_assignment, serve_logs, serve_node, serve_snapshots, serve_worker,
};
use hearth_control::{ControlDeps, ControlService};
use hearth_frontend::{Frontend, FrontendDeps, FrontendOptions};
use hearth_function_logs::LogStore;
use hearth_metastore_etcd::EtcdStore;
use hearth_placement::PlacementService;
use hearth_rpc::Security;
use hearth_services::cluster::{NodeRecord, Role};
use hearth_services::metastore::MetaStore;
use hearth_services::worker::{Worker, WorkerDirectory};
use hearth_snapshot_store::SnapshotStore;
use hearth_tasks::{spawn, spawn_vital};
use hearth_types::{NodeLife, Runtime, Timestamp};
use hearth_worker::LocalWorker;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A node, ready to serve.
pub(super) struct Node {
    config: NodeConfig,
    store: Arc<dyn MetaStore>,
    security: Security,
    cluster: Cluster,
    membership: Arc<Membership>,
    readiness: Readiness,
    logs: Arc<LogStore>,
    worker: Option<OpenWorker>,
    snapshots: Option<SnapshotStore>,
    control: Arc<ControlService>,
    garbage: Arc<Garbage>,
    capacity: Option<CapacityService>,
    partitions: Option<PartitionsService>,
    led: Option<Arc<Led>>,
    router: Router,
    frontend: Option<Frontend>,
}

impl Node {
    /// Opens the stores, joins the cluster, and wires the roles.
    pub(super) async fn start(
        config: &NodeConfig,
        data: &DataDir,
        peers: &TcpListener,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let security = security(config)?;
        let store: Arc<dyn MetaStore> = Arc::new(EtcdStore::open(&config.etcd()?)?);
        let cluster = Cluster::follow(&store, security.clone()).await?;
        let place = ObjectsPlace::shared(config.objects.clone(), config.objects_endpoint.clone());
        let objects = place.open(&*store).await?;
        let logs =
            Arc::new(LogStore::open(data.logs()).context("cannot open the functions' logs")?);
        let memory = share_memory(config.host.memory_limit.map(|mib| mib * 1024 * 1024))?;
        let keys = Keys::Shared(&config.bundle);
        let stores = open_stores(data, &place, objects, keys, config.gc_grace()).await?;
        let all_snapshots = stores.snapshots.clone();
        let chunks = all_snapshots.chunks().clone();
        let (worker, runtimes) = match config.does(Role::Worker) {
            true => {
                let images = Images::open(&config.host)?;
                let runtimes = images.runtimes();
                let memory = memory.sandboxes;
                let logs = Arc::clone(&logs);
                let opened = images.open_worker(&config.host, data, memory, stores, logs)?;
                (Some(opened), runtimes)
            }
            // Whether a worker has an image of it is seen when it is to run.
            false => (None, Runtime::ALL.into_iter().collect()),
        };
        let life = NodeLife::new();
        let advertised = match &config.advertise {
            Some(address) => address.clone(),
            None => {
                let address = peers.local_addr()?;
                ensure!(
                    !address.ip().is_unspecified(),
                    "{address} is none that other nodes can reach: say where they do with `advertise`"
                );
                address.to_string()
            }
        };
        let me = NodeRecord {
            name: config.name.clone(),
            life,
            zone: config.zone.clone(),
            roles: config.roles.clone(),
            address: advertised,
            worker: worker.as_ref().map(|open| open.worker.id()),
            lease: 0,
            started: Timestamp::now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        // Little is open yet; from now on nobody deletes what will be.
        let reported = chunks.report_use(&garbage::user(&me)).await;
        reported.context("cannot say in the object store what this node has open")?;
        let membership = Membership::join(Arc::clone(&store), me).await?;
        let readiness = Readiness { membership: Arc::clone(&membership), stop: stop.clone() };

        let own = worker.as_ref().map(|open| {
            let worker: Arc<dyn Worker> = Arc::new(LocalWorker(Arc::clone(&open.worker)));
            (open.worker.id(), worker)
        });
        let workers = Workers::new(cluster.nodes.clone(), cluster.channels.clone(), own)
            .with_standings(cluster.standings.clone());
        let directory: Arc<dyn WorkerDirectory> = Arc::new(workers.clone());
        let partitions = config.does(Role::Assignment).then(|| {
            let options = AssignmentOptions {
                keep_alive: config.keep_alive(),
                ..AssignmentOptions::default()
            };
            let deps = PartitionsDeps {
                store: Arc::clone(&store),
                partitions: cluster.partitions,
                membership: Arc::clone(&membership),
                nodes: cluster.nodes.clone(),
                leaders: cluster.leaders.clone(),
                channels: cluster.channels.clone(),
                placement: Arc::new(PlacementService::new(Arc::clone(&directory))),
                workers: Arc::clone(&directory),
            };
            PartitionsService::new(options, deps)
        });
        let led = partitions.as_ref().map(PartitionsService::led);
        let router = Router::new(
            cluster.leaders.clone(),
            cluster.nodes.clone(),
            cluster.channels.clone(),
            cluster.partitions,
            led.clone().map(|led| (life, led as Arc<dyn Leaders>)),
        );
        let control = Arc::new(ControlService::new(ControlDeps {
            metastore: Arc::clone(&store),
            chunks: chunks.clone(),
            work_dir: data.control(),
            runtimes,
            snapshots: Some(Arc::new(RemoteSnapshots::new(workers.clone()))),
        })?);
        let garbage = Arc::new(Garbage {
            store: Arc::clone(&store),
            membership: Arc::clone(&membership),
            nodes: cluster.nodes.clone(),
            control: Arc::clone(&control),
            snapshots: all_snapshots,
            worker: worker.as_ref().map(|open| Arc::clone(&open.worker)),
        });
        let frontend = config.does(Role::Frontend).then(|| {
            let is_ready = readiness.clone();
            let deps = FrontendDeps {
                is_ready: Arc::new(move || is_ready.is_ready()),
                metastore: Arc::clone(&store),
                control: Arc::clone(&control) as _,
                assignment: Arc::new(router.clone()),
                workers: directory,
                logs: Arc::new(ClusterLogs::new(workers)),
                code: chunks,
            };
            let options = FrontendOptions {
                connections_max: connections_max(),
                payload_bytes_max: memory.payloads,
                shutdown_grace: config.shutdown_grace(),
                ..FrontendOptions::default()
            };
            Frontend::new(deps, options)
        });
        let snapshots = worker.as_ref().and_then(|open| open.snapshots_taken.clone());
        let capacity = match config.does(Role::Capacity) {
            true => Some(capacity::service(config, &store, &membership, &cluster)?),
            false => None,
        };
        let config = config.clone();
        Ok(Self {
            config,
            store,
            security,
            cluster,
            membership,
            readiness,
            logs,
            worker,
            snapshots,
            control,
            garbage,
            capacity,
            partitions,
            led,
            router,
            frontend,
        })
    }

    /// What an operator can ask for.
    pub(super) fn desk(&self) -> Arc<Desk> {
        let (control, garbage) = (Arc::clone(&self.control), Arc::clone(&self.garbage));
        let keeper = Arc::new(NodeKeeper { control, garbage });
        Arc::new(Desk {
            accounts: Arc::clone(&self.control) as _,
            snapshots: SnapshotDesk::new(self.snapshots.clone(), keeper),
        })
    }

    /// Whether it should be given work.
    pub(super) fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// What brings the roles' gauges up to date before they are read.
    pub(super) fn observer(&self) -> impl Fn() + Send + Sync + 'static {
        let (led, worker) = (self.led.clone(), self.worker.as_ref().map(|o| o.worker.clone()));
        move || {
            led.iter().for_each(|led| led.observe());
            worker.iter().for_each(|worker| worker.observe());
        }
    }

    /// The methods that other nodes call.
    fn methods(&self) -> hearth_rpc::Router {
        let nodes = self.cluster.nodes.clone();
        let mut router =
            hearth_rpc::Router::new().allow(move |peer, method| may_call(&nodes, peer, method));
        if let Some(OpenWorker { worker, .. }) = &self.worker {
            router = serve_worker(router, Arc::new(LocalWorker(Arc::clone(worker))));
            router = serve_snapshots(router, Arc::new(LocalWorker(Arc::clone(worker))));
            router = serve_logs(router, Arc::clone(&self.logs) as _);
        }
        if let Some(led) = &self.led {
            router = serve_assignment(router, Arc::clone(led) as _);
        }
        let led = self.led.clone();
        let followed = self.partitions.as_ref().map(PartitionsService::followed);
        let worker = self.worker.as_ref().map(|open| LocalWorker(Arc::clone(&open.worker)));
        let worker = worker.map(Arc::new);
        serve_node(router, move || {
            let mut status = NodeStatus {
                led: led.as_ref().map(|led| led.partitions()).unwrap_or_default(),
                followed: followed.as_ref().map(Followed::partitions).unwrap_or_default(),
                refused: led.as_ref().map(|led| led.refused()).unwrap_or_default(),
                worker: None,
            };
            let worker = worker.clone();
            async move {
                if let Some(worker) = worker {
                    status.worker = worker.status().await;
                }
                status
            }
        })
    }

    /// Serves until `stop`; then gives away what it leads, lets running calls end within
    /// their grace, leaves the cluster, and removes all that was set up on the host.
    pub(super) async fn serve(
        self,
        api: Option<TcpListener>,
        peers: TcpListener,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let ended = CancellationToken::new();
        let served = self.methods().serve(peers, self.security.clone(), ended.clone());
        // A node that the others do not reach is none.
        let stops = stop.clone();
        let served = async move {
            let _stop_when_it_ends = stops.drop_guard();
            served.await
        };
        let served = spawn("nodes' server", served);
        let left = CancellationToken::new();
        // Without any of these the node would keep turns that it does not use, and others would
        // wait for them: one that panics ends it.
        let run = Arc::clone(&self.membership).run(left.clone());
        let membership = spawn_vital("membership", stop.clone(), run);
        let ending = spawn("ending", {
            let (membership, stop) = (Arc::clone(&self.membership), stop.clone());
            async move {
                stop.cancelled().await;
                membership.end().await;
            }
        });
        let partitions = self
            .partitions
            .map(|led| spawn_vital("partitions", stop.clone(), led.run(stop.clone())));
        let control = self.config.does(Role::Control).then(|| {
            let (store, membership) = (Arc::clone(&self.store), Arc::clone(&self.membership));
            let (control, garbage) = (Arc::clone(&self.control), Arc::clone(&self.garbage));
            let turns = control::take_turns(store, membership, control, garbage, stop.clone());
            spawn_vital("control", stop.clone(), turns)
        });
        let capacity = self
            .capacity
            .map(|manager| spawn_vital("capacity", stop.clone(), manager.run(stop.clone())));
        let pruner = spawn("log pruner", prune_forever(self.logs));
        let garbage = self.garbage;
        let reports = async move { garbage.report_forever().await };
        let reporter = spawn_vital("reports of use", stop.clone(), reports);

        match (self.frontend, api) {
            (Some(frontend), Some(api)) => {
                if let Err(error) = frontend.serve(api, stop.clone()).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "running requests were cut"
                    );
                }
            }
            _ => stop.cancelled().await,
        }
        self.router.shutdown().await;
        // Whatever panicked, what this node has on the host goes.
        let mut panicked = Ok(());
        for task in [Some(ending), partitions, control, capacity].into_iter().flatten() {
            panicked = panicked.and(task.await.context("a task panicked"));
        }
        left.cancel();
        panicked = panicked.and(membership.await.context("membership panicked"));
        pruner.abort();
        if let Some(OpenWorker { worker, driver, .. }) = self.worker {
            worker.drain(self.config.shutdown_grace()).await;
            worker.shutdown().await;
            driver.shutdown().await;
        }
        reporter.abort();
        ended.cancel();
        served.await.context("the server of other nodes panicked")??;
        drop(self.cluster);
        panicked
    }
}
