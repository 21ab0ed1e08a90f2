//! A worker that lies, as a process of its own with a certificate of its own: it says that it
//! created what it did not, has what it lacks and lacks what it has, and that there is
//! nobody who has more room.

use anyhow::{Context, Result};
use async_trait::async_trait;
use hearth_cluster::{Membership, NodeStatus, serve_node, serve_worker};
use hearth_metastore_etcd::{EtcdOptions, EtcdStore};
use hearth_rpc::{Identity, IdentityFiles, Router, Security};
use hearth_services::cluster::{NodeRecord, Role};
use hearth_services::metastore::MetaStore;
use hearth_services::worker::{
    CreateError, Created, Doing, HeldSandbox, Invocation, InvokeError, Invoked, Outcomes,
    SandboxesError, Worker, WorkerStatus,
};
use hearth_test_servers::Place;
use hearth_types::{
    FunctionVersion, NodeLife, Reign, Room, SandboxId, StageTimes, StartKind, Timestamp, WorkerId,
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What has a process of this test be the liar, and what it has to know.
const VARIABLE: &str = "HEARTH_ZONES_LIAR";
/// Its name.
pub(crate) const NAME: &str = "liar";

/// Who it is.
#[derive(Serialize, Deserialize)]
pub(crate) struct Liar {
    pub(crate) zone: String,
    pub(crate) address: SocketAddr,
    pub(crate) bundle: PathBuf,
    pub(crate) etcd: Vec<String>,
    /// Sandboxes of others, which it will say that it has.
    pub(crate) claimed: Vec<SandboxId>,
}

/// Its process, killed at the latest when it is dropped.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _it_may_have_ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

impl Liar {
    /// What this process is to be, if it is one.
    pub(crate) fn of_this_process() -> Option<Self> {
        let text = std::env::var(VARIABLE).ok()?;
        Some(serde_json::from_str(&text).expect("the test wrote it"))
    }

    /// Starts it there.
    pub(crate) fn start(&self, place: &Place) -> Result<Running> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(VARIABLE, serde_json::to_string(self)?);
        Ok(Running(place.within(|| command.spawn()).context("start the liar")?))
    }

    /// Lies until it is killed.
    pub(crate) fn run(self) -> Result<()> {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(self.lie())
    }

    async fn lie(self) -> Result<()> {
        let identity = Identity::load(&IdentityFiles::in_dir(&self.bundle))?;
        let security = Security::mutual(&identity)?;
        let store: Arc<dyn MetaStore> = Arc::new(EtcdStore::open(&EtcdOptions::new(self.etcd))?);
        let listener = TcpListener::bind(self.address).await?;
        let lies =
            Arc::new(Lies { id: WorkerId::new(), claimed: self.claimed, said: Mutex::default() });
        let me = NodeRecord {
            name: NAME.parse()?,
            life: NodeLife::new(),
            zone: self.zone.parse()?,
            roles: [Role::Worker].into(),
            address: self.address.to_string(),
            worker: Some(lies.id),
            lease: 0,
            started: Timestamp::now(),
            version: String::new(),
        };
        let membership = Membership::join(store, me).await?;
        let never = CancellationToken::new();
        let stays = hearth_tasks::spawn("membership", membership.run(never.clone()));
        let status = Arc::clone(&lies);
        let router = serve_node(serve_worker(Router::new(), lies), move || {
            let worker = Some(status.well());
            async move { NodeStatus { worker, ..NodeStatus::default() } }
        });
        router.serve(listener, security, never).await?;
        Ok(stays.await?)
    }
}

/// What it says.
struct Lies {
    id: WorkerId,
    claimed: Vec<SandboxId>,
    /// What it said that it created.
    said: Mutex<Vec<(Reign, HeldSandbox)>>,
}

impl Lies {
    /// Nobody is better.
    fn well(&self) -> WorkerStatus {
        let room = Room { memory_bytes: 1 << 40, disk_bytes: 1 << 40 };
        WorkerStatus {
            worker: self.id,
            total: room,
            promised: Room::default(),
            sandbox_overhead: Room::default(),
            sandboxes: 0,
            sandboxes_max: 1000,
            revision: 1,
            cpus: 1000,
            cpu_milli_busy: 0,
            functions: Vec::new(),
            creating: Vec::new(),
            snapshots: Vec::new(),
            outcomes: Outcomes::default(),
        }
    }
}

#[async_trait]
impl Worker for Lies {
    /// Nothing is created.
    async fn create(
        &self,
        id: SandboxId,
        version: &Arc<FunctionVersion>,
        _: StartKind,
        reign: Reign,
    ) -> Result<Created, CreateError> {
        let held = HeldSandbox { id, key: version.key.clone(), hold: None, doing: Doing::Idle };
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push((reign, held));
        Ok(Created { start: StartKind::Cold, stages: StageTimes::default(), revision: 1 })
    }

    async fn invoke(&self, _: SandboxId, _: Invocation) -> Result<Invoked, InvokeError> {
        Err(InvokeError::Gone)
    }

    /// Nothing is killed.
    async fn kill(&self, _: SandboxId, _: Reign) {}

    /// Every other one of what it was asked for, as another function's; what others have; and
    /// what there never was. It obeys any leader.
    async fn sandboxes(&self, reign: Reign) -> Result<Vec<HeldSandbox>, SandboxesError> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, some)) = said.first() else { return Ok(Vec::new()) };
        let key = some.key.clone();
        let here = said.iter().filter(|(of, _)| of.partition == reign.partition);
        let kept = here.map(|(_, held)| held).step_by(2).cloned();
        let invented = self.claimed.iter().copied().chain([SandboxId::new()]);
        let invented =
            invented.map(|id| HeldSandbox { id, key: key.clone(), hold: None, doing: Doing::Idle });
        let swapped = kept.map(|held| HeldSandbox { key: key.clone(), ..held });
        Ok(swapped.chain(invented).collect())
    }

    async fn status(&self) -> Option<WorkerStatus> {
        Some(self.well())
    }
}
