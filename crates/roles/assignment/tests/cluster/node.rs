//! A node that leads and follows, in a thread and runtime of its own: it can be killed or
//! frozen as a process can.

use crate::worker::FakeWorker;
use async_trait::async_trait;
use hearth_assignment::{AssignmentOptions, PartitionsDeps, PartitionsService};
use hearth_cluster::{Membership, Router, View, Workers, serve_assignment, serve_worker};
use hearth_rpc::pki::Ca;
use hearth_rpc::{Channels, Security};
use hearth_services::cluster::{LeaderRecord, NodeRecord, Role, StandingRecord};
use hearth_services::keys;
use hearth_services::metastore::MetaStore;
use hearth_services::placement::{PlaceError, Placed, Placement, Shortage};
use hearth_services::worker::{CreateError, WorkerDirectory};
use hearth_types::*;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub(crate) const PARTITIONS: u16 = 4;
/// Invocations that an account may have running at once.
pub(crate) const ACCOUNT_MAX: usize = 300;

/// A node that leads.
pub(crate) struct Node {
    pub(crate) name: NodeName,
    freeze: mpsc::UnboundedSender<Duration>,
    kill: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    stop: CancellationToken,
}

/// Workers in turn.
struct InTurn(Workers, AtomicUsize);

#[async_trait]
impl Placement for InTurn {
    async fn place(
        &self,
        id: SandboxId,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
        reign: Reign,
    ) -> Result<Placed, PlaceError> {
        let workers = self.0.all();
        let nothing = Shortage { room: Some(Room::default()), sandbox_overhead: Room::default() };
        for _ in 0..workers.len() {
            let next = self.1.fetch_add(1, Ordering::Relaxed) % workers.len();
            let (worker, client) = &workers[next];
            match client.create(id, version, quickest, reign).await {
                Err(
                    CreateError::Unreachable(_) | CreateError::NoCapacity | CreateError::Deposed(_),
                ) => {}
                created => {
                    let created = created.map_err(PlaceError::Create)?;
                    return Ok(Placed { worker: *worker, created });
                }
            }
        }
        Err(PlaceError::NoCapacity(nothing))
    }

    fn doubt(&self, _: &VersionKey, _: &WorkerId) {}
}

/// The certificates of all nodes, in whichever test.
static CA: LazyLock<(TempDir, Ca)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::create(dir.path()).unwrap();
    (dir, ca)
});

fn security(name: &str) -> Security {
    let issued = CA.1.issue(&name.parse().unwrap()).unwrap();
    Security::mutual(&issued.identity().unwrap()).unwrap()
}

fn record(name: &str, zone: &str, role: Role, listener: &TcpListener) -> NodeRecord {
    NodeRecord {
        name: name.parse().unwrap(),
        life: NodeLife::new(),
        zone: zone.parse().unwrap(),
        roles: [role].into(),
        address: listener.local_addr().unwrap().to_string(),
        worker: None,
        lease: 0,
        started: Timestamp::now(),
        version: String::new(),
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

type Views = (View<NodeRecord>, View<LeaderRecord>);

async fn views(store: &Arc<dyn MetaStore>) -> Views {
    let (nodes, task) = View::start(store.clone(), keys::NODES).await.unwrap();
    drop(task);
    let (leaders, task) = View::start(store.clone(), keys::LEADERS).await.unwrap();
    drop(task);
    (nodes, leaders)
}

impl Node {
    /// Starts one; returns once it is in the cluster.
    pub(crate) async fn start(store: &Arc<dyn MetaStore>, name: &str, zone: &str) -> Self {
        let (freeze, mut freezes) = mpsc::unbounded_channel::<Duration>();
        let (kill, killed) = oneshot::channel::<()>();
        let (joined, has_joined) = oneshot::channel();
        let stop = CancellationToken::new();
        let (store, stopped) = (store.clone(), stop.clone());
        let (own, zone) = (name.to_owned(), zone.to_owned());
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap();
            runtime.block_on(async {
                let runs = run(store, &own, &zone, joined, stopped);
                let frozen = async {
                    while let Some(time) = freezes.recv().await {
                        std::thread::sleep(time);
                    }
                };
                tokio::select! {
                    _ = killed => {}
                    () = runs => {}
                    () = frozen => {}
                }
            });
            runtime.shutdown_background();
        });
        has_joined.await.unwrap();
        let name = name.parse().unwrap();
        Self { name, freeze, kill: Some(kill), thread: Some(thread.unwrap()), stop }
    }

    /// Has it do nothing for a while, not even notice.
    pub(crate) fn freeze(&self, time: Duration) {
        self.freeze.send(time).unwrap();
    }

    /// Ends it as `kill -9` would.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Ends it as SIGTERM would.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let thread = self.thread.take().unwrap();
        tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    }

    fn end(&mut self) {
        if let Some(kill) = self.kill.take() {
            let _has_ended = kill.send(());
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

async fn run(
    store: Arc<dyn MetaStore>,
    name: &str,
    zone: &str,
    joined: oneshot::Sender<()>,
    stop: CancellationToken,
) {
    let listener = listener().await;
    let me = record(name, zone, Role::Assignment, &listener);
    let (nodes, leaders) = views(&store).await;
    let membership = Membership::join(store.clone(), me).await.unwrap();
    let channels = Channels::new(security(name));
    let workers =
        Workers::new(nodes.clone(), channels.clone(), None).with_standings(standings(&store).await);
    let deps = PartitionsDeps {
        store,
        partitions: PARTITIONS,
        membership: membership.clone(),
        nodes,
        leaders,
        channels,
        placement: Arc::new(InTurn(workers.clone(), AtomicUsize::new(0))),
        workers: Arc::new(workers),
    };
    let options =
        AssignmentOptions { account_concurrency_max: ACCOUNT_MAX, ..AssignmentOptions::default() };
    let service = PartitionsService::new(options, deps);
    let methods = serve_assignment(hearth_rpc::Router::new(), service.led());
    let ended = CancellationToken::new();
    joined.send(()).unwrap();
    tokio::join!(
        async { methods.serve(listener, security(name), ended.clone()).await.unwrap() },
        async {
            tokio::join!(membership.run(stop.clone()), service.run(stop));
            ended.cancel();
        },
    );
}

async fn standings(store: &Arc<dyn MetaStore>) -> View<StandingRecord> {
    let (standings, task) = View::start(store.clone(), keys::WORKERS).await.unwrap();
    drop(task);
    standings
}

/// Has a worker serve, as a node that does nothing else.
pub(crate) async fn serve(store: &Arc<dyn MetaStore>, name: &str, worker: &Arc<FakeWorker>) {
    let listener = listener().await;
    let me = record(name, "w", Role::Worker, &listener);
    let me = NodeRecord { worker: Some(worker.id), ..me };
    let membership = Membership::join(store.clone(), me).await.unwrap();
    let methods = serve_worker(hearth_rpc::Router::new(), worker.clone());
    let never = CancellationToken::new();
    tokio::spawn(membership.run(never.clone()));
    tokio::spawn(methods.serve(listener, security(name), never));
}

/// What a front end has.
pub(crate) async fn front(store: &Arc<dyn MetaStore>) -> (Router, Workers, View<LeaderRecord>) {
    let (nodes, leaders) = views(store).await;
    let channels = Channels::new(security("front"));
    let workers =
        Workers::new(nodes.clone(), channels.clone(), None).with_standings(standings(store).await);
    (Router::new(leaders.clone(), nodes, channels, PARTITIONS, None), workers, leaders)
}
