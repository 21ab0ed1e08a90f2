//! A fleet that only pretends: its nodes, and a provider that starts and stops them.

use crate::config::CapacityConfig;
use crate::ledger::{Ledger, LedgerError};
use crate::manager::Manager;
use crate::nodes::Nodes;
use crate::provider::{Machine, ProviderError, WorkerProvider};
use async_trait::async_trait;
use hearth_cluster::NodeStatus;
use hearth_cluster::Turn;
use hearth_metastore::RedbStore;
use hearth_services::cluster::{NodeRecord, Role, StandingRecord};
use hearth_services::keys;
use hearth_services::metastore::{MetaStore, Txn};
use hearth_services::worker::{Outcomes, WorkerStatus};
use hearth_types::{NodeLife, NodeName, Room, Timestamp, WorkerId, ZoneName};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Places, and GiB, of a worker.
pub(super) const PLACES: u32 = 10;
const GIB: u64 = 1 << 30;

/// How the provider behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Works,
    /// It says that it did, and nothing comes.
    Idle,
    Fails,
    Hangs,
}

pub(super) struct Pretender {
    pub(super) record: NodeRecord,
    pub(super) sandboxes: u32,
    pub(super) answers: bool,
    pub(super) outcomes: Outcomes,
}

pub(super) struct State {
    pub(super) nodes: BTreeMap<NodeName, Pretender>,
    pub(super) refused: u64,
    pub(super) mood: Mood,
    /// Zones and counts that the provider was asked for.
    pub(super) ups: Vec<(String, u32)>,
    pub(super) downs: Vec<String>,
    started: u32,
    leader: NodeLife,
}

pub(super) struct Pretence(pub(super) Mutex<State>);

pub(super) struct Fleet {
    pub(super) pretence: Arc<Pretence>,
    pub(super) store: Arc<dyn MetaStore>,
    _dir: tempfile::TempDir,
}

fn record(name: &str, zone: &str, role: Role, worker: Option<WorkerId>) -> NodeRecord {
    NodeRecord {
        name: name.parse().unwrap(),
        life: NodeLife::new(),
        zone: zone.parse().unwrap(),
        roles: [role].into(),
        address: String::new(),
        worker,
        lease: 0,
        started: Timestamp::now(),
        version: String::new(),
    }
}

impl State {
    pub(super) fn add(&mut self, name: &str, zone: &str) {
        let record = record(name, zone, Role::Worker, Some(WorkerId::new()));
        let (sandboxes, answers, outcomes) = (0, true, Outcomes::default());
        let pretender = Pretender { record, sandboxes, answers, outcomes };
        self.nodes.insert(name.parse().unwrap(), pretender);
    }

    pub(super) fn of(&mut self, name: &str) -> &mut Pretender {
        self.nodes.get_mut(&name.parse::<NodeName>().unwrap()).unwrap()
    }
}

impl Fleet {
    /// So many workers in each of these zones, as `a0`, `a1` and so on.
    pub(super) fn new(zones: &[(&str, u32)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(RedbStore::open(&dir.path().join("meta")).unwrap());
        let mut state = State {
            nodes: BTreeMap::new(),
            refused: 0,
            mood: Mood::Works,
            ups: Vec::new(),
            downs: Vec::new(),
            started: 0,
            leader: NodeLife::new(),
        };
        for (zone, count) in zones {
            (0..*count).for_each(|n| state.add(&format!("{zone}{n}"), zone));
        }
        Self { pretence: Arc::new(Pretence(Mutex::new(state))), store, _dir: dir }
    }

    pub(super) fn state(&self) -> parking_lot::MutexGuard<'_, State> {
        self.pretence.0.lock()
    }

    /// A manager whose turn it is; the one before it is deposed.
    pub(super) async fn manager(&self, config: CapacityConfig) -> Manager {
        self.manager_with(config, true).await
    }

    pub(super) async fn manager_with(&self, config: CapacityConfig, provides: bool) -> Manager {
        self.store.transact(Txn::new().delete(keys::CAPACITY)).await.unwrap();
        let lease = self.store.grant_lease(Duration::from_secs(3600)).await.unwrap();
        let turn = Turn::claim(&*self.store, keys::CAPACITY, NodeLife::new(), lease.id).await;
        let turn = turn.unwrap().unwrap();
        let ledger = Ledger::new(Arc::clone(&self.store), turn);
        let nodes = Arc::clone(&self.pretence) as Arc<dyn Nodes>;
        let provider = provides.then(|| Arc::clone(&self.pretence) as Arc<dyn WorkerProvider>);
        let zone: ZoneName = "a".parse().unwrap();
        Manager::open(config, zone, nodes, provider, ledger).await.unwrap()
    }

    pub(super) async fn standings(&self) -> BTreeMap<WorkerId, StandingRecord> {
        let (all, _) = self.store.list(keys::WORKERS, None, 1_000).await.unwrap();
        let of = |(key, found): (String, hearth_services::metastore::Versioned)| {
            (keys::worker_of(&key).unwrap(), keys::decode(&found.value).unwrap())
        };
        all.into_iter().map(of).collect()
    }

    /// The workers that are there, in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.state().nodes.keys().map(ToString::to_string).collect()
    }
}

/// Rounds, ten seconds apart.
pub(super) async fn rounds(manager: &mut Manager, count: u32) {
    for _ in 0..count {
        round(manager).await.unwrap();
    }
}

pub(super) async fn round(manager: &mut Manager) -> Result<(), LedgerError> {
    tokio::time::advance(Duration::from_secs(10)).await;
    manager.round().await?;
    // Orders are carried out beside the rounds.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

pub(super) fn config(min: u32, max: u32) -> CapacityConfig {
    CapacityConfig { min_workers: min, max_workers: max, ..CapacityConfig::default() }
}

#[async_trait]
impl Nodes for Pretence {
    fn all(&self) -> Vec<NodeRecord> {
        let state = self.0.lock();
        let mut leader = record("leader", "a", Role::Assignment, None);
        leader.life = state.leader;
        state.nodes.values().map(|node| node.record.clone()).chain([leader]).collect()
    }

    async fn status(&self, node: &NodeRecord) -> Option<NodeStatus> {
        let state = self.0.lock();
        let Some(worker) = node.worker else {
            return Some(NodeStatus { refused: state.refused, ..NodeStatus::default() });
        };
        let pretender = state.nodes.get(&node.name).filter(|node| node.answers)?;
        let room = |places: u32| Room { memory_bytes: u64::from(places) * GIB, disk_bytes: 0 };
        let worker = WorkerStatus {
            worker,
            total: room(PLACES),
            promised: room(pretender.sandboxes),
            sandbox_overhead: Room::default(),
            sandboxes: pretender.sandboxes,
            sandboxes_max: PLACES,
            revision: 0,
            cpus: 1,
            cpu_milli_busy: 0,
            functions: Vec::new(),
            creating: Vec::new(),
            snapshots: Vec::new(),
            outcomes: pretender.outcomes,
        };
        Some(NodeStatus { worker: Some(worker), ..NodeStatus::default() })
    }
}

#[async_trait]
impl WorkerProvider for Pretence {
    async fn scale_up(&self, zone: &ZoneName, count: u32) -> Result<(), ProviderError> {
        let mood = {
            let mut state = self.0.lock();
            state.ups.push((zone.to_string(), count));
            for _ in 0..if state.mood == Mood::Works { count } else { 0 } {
                let name = format!("x{}", state.started);
                state.started += 1;
                state.add(&name, zone.as_str());
            }
            state.mood
        };
        answer(mood).await
    }

    async fn scale_down(&self, machine: &Machine) -> Result<(), ProviderError> {
        let mood = {
            let mut state = self.0.lock();
            state.downs.push(machine.node.to_string());
            if state.mood == Mood::Works {
                state.nodes.remove(&machine.node);
            }
            state.mood
        };
        answer(mood).await
    }

    fn owns(&self, node: &NodeName) -> bool {
        !node.as_str().starts_with("foreign")
    }
}

async fn answer(mood: Mood) -> Result<(), ProviderError> {
    match mood {
        Mood::Works | Mood::Idle => Ok(()),
        Mood::Fails => Err(ProviderError::Failed("no quota".to_owned())),
        Mood::Hangs => std::future::pending().await,
    }
}
