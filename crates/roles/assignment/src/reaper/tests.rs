use crate::{AssignmentOptions, AssignmentService};
use async_trait::async_trait;
use hearth_metastore::RedbStore;
use hearth_sandboxes::testing::version_of;
use hearth_services::assignment::{Assignment, Disposition};
use hearth_services::keys;
use hearth_services::metastore::{MetaStore, Txn};
use hearth_services::placement::{PlaceError, Placed, Placement, Shortage};
use hearth_services::worker::{
    CreateError, Created, HeldSandbox, Invocation, InvokeError, Invoked, SandboxesError, Standing,
    Worker, WorkerDirectory, WorkerStatus,
};
use hearth_types::{
    FunctionVersion, Reign, RevisionId, Room, SandboxId, StageTimes, StartKind, State, VersionKey,
    WorkerId,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::{Instant, advance};

/// Has sandboxes made at once, and tells of kills.
struct Fleet {
    kills: mpsc::UnboundedSender<SandboxId>,
    /// Whether no worker has room.
    is_full: AtomicBool,
    made: AtomicUsize,
}

impl Fleet {
    fn new(kills: mpsc::UnboundedSender<SandboxId>) -> Arc<Self> {
        Arc::new(Self { kills, is_full: false.into(), made: 0.into() })
    }
}

#[async_trait]
impl Placement for Fleet {
    async fn place(
        &self,
        _id: SandboxId,
        _version: &Arc<FunctionVersion>,
        _quickest: StartKind,
        _reign: Reign,
    ) -> Result<Placed, PlaceError> {
        if self.is_full.load(Relaxed) {
            return Err(PlaceError::NoCapacity(Shortage {
                room: Some(Room { memory_bytes: 1, disk_bytes: 1 }),
                sandbox_overhead: Room::default(),
            }));
        }
        self.made.fetch_add(1, Relaxed);
        let created =
            Created { start: StartKind::Cold, stages: StageTimes::default(), revision: 0 };
        Ok(Placed { worker: WorkerId::new(), created })
    }

    fn doubt(&self, _: &VersionKey, _: &WorkerId) {}
}

#[async_trait]
impl Worker for Fleet {
    async fn create(
        &self,
        _id: SandboxId,
        _version: &Arc<FunctionVersion>,
        _quickest: StartKind,
        _reign: Reign,
    ) -> Result<Created, CreateError> {
        unreachable!("placement makes them")
    }
    async fn invoke(&self, _id: SandboxId, _: Invocation) -> Result<Invoked, InvokeError> {
        unreachable!("nothing is invoked")
    }
    async fn kill(&self, id: SandboxId, _reign: Reign) {
        self.kills.send(id).unwrap();
    }
    async fn sandboxes(&self, _: Reign) -> Result<Vec<HeldSandbox>, SandboxesError> {
        unreachable!("nobody asks")
    }
    async fn status(&self) -> Option<WorkerStatus> {
        unreachable!("nobody asks")
    }
}

/// The second says that all workers drain.
struct Directory(Arc<Fleet>, AtomicBool);

impl WorkerDirectory for Directory {
    fn worker(&self, _id: &WorkerId) -> Option<Arc<dyn Worker>> {
        Some(self.0.clone())
    }
    fn all(&self) -> Vec<(WorkerId, Arc<dyn Worker>)> {
        unreachable!("nobody asks")
    }
    fn standing(&self, _id: &WorkerId) -> Standing {
        if self.1.load(Relaxed) { Standing::Draining } else { Standing::Serving }
    }
}

/// Where versions are written down.
struct Store(Arc<dyn MetaStore>, #[expect(dead_code, reason = "it goes with this")] TempDir);

impl Store {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = RedbStore::open(&dir.path().join("store")).unwrap();
        Self(Arc::new(store), dir)
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_sandbox_is_killed_after_the_keep_alive_and_not_before() {
    let keep_alive = Duration::from_secs(600);
    let (kills, mut killed) = mpsc::unbounded_channel();
    let fleet = Fleet::new(kills);
    let store = Store::open();
    let options = AssignmentOptions { keep_alive, ..AssignmentOptions::default() };
    let service = AssignmentService::new(
        options,
        fleet.clone(),
        Arc::new(Directory(fleet.clone(), false.into())),
    );
    let version = Arc::new(version_of("111111111111", RevisionId::new()));
    let acquired = service.acquire(&version, StartKind::Warm).await.unwrap();
    let sandbox = acquired.sandbox;
    // Busy for longer than the keep-alive, which does not count.
    advance(2 * keep_alive).await;
    service.release(sandbox, acquired.hold, Disposition::Reusable).await;

    let idle_since = Instant::now();
    let dead = tokio::select! {
        dead = killed.recv() => dead,
        never = service.reap_forever(&store.0) => match never {},
    };
    assert_eq!(dead, Some(sandbox));
    let idle = idle_since.elapsed();
    assert!((keep_alive..keep_alive + 2 * super::REAP_INTERVAL_MAX).contains(&idle), "{idle:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_on_a_draining_worker_goes_and_what_is_busy_ends_first() {
    let (kills, mut killed) = mpsc::unbounded_channel();
    let fleet = Fleet::new(kills);
    let store = Store::open();
    let directory = Arc::new(Directory(fleet.clone(), false.into()));
    let options = AssignmentOptions::default();
    let service = AssignmentService::new(options, fleet, directory.clone());
    let version = Arc::new(version_of("111111111111", RevisionId::new()));
    let idle = service.acquire(&version, StartKind::Warm).await.unwrap();
    let busy = service.acquire(&version, StartKind::Warm).await.unwrap();
    service.release(idle.sandbox, idle.hold, Disposition::Reusable).await;
    directory.1.store(true, Relaxed);
    let mut next = async || {
        tokio::select! {
            dead = killed.recv() => dead,
            () = tokio::time::sleep(4 * super::REAP_INTERVAL_MAX) => None,
            never = service.reap_forever(&store.0) => match never {},
        }
    };
    assert_eq!(next().await, Some(idle.sandbox));
    assert_eq!(next().await, None);
    service.release(busy.sandbox, busy.hold, Disposition::Reusable).await;
    assert_eq!(next().await, Some(busy.sandbox));
}

/// A leader that reaps, and one version.
struct Fixture {
    service: Arc<AssignmentService>,
    fleet: Arc<Fleet>,
    version: Arc<FunctionVersion>,
    killed: mpsc::UnboundedReceiver<SandboxId>,
    store: Store,
}

impl Fixture {
    async fn new() -> Self {
        let (kills, killed) = mpsc::unbounded_channel();
        let (fleet, store) = (Fleet::new(kills), Store::open());
        let directory = Arc::new(Directory(fleet.clone(), false.into()));
        let options = AssignmentOptions::default();
        let service = AssignmentService::new(options, fleet.clone(), directory);
        let mut version = version_of("111111111111", RevisionId::new());
        version.state = State::Active;
        let key = &version.key;
        let name = keys::version(&key.account, &key.function, key.version);
        let put = Txn::new().put(name, keys::encode(&version));
        store.0.transact(put).await.unwrap();
        Self { service, fleet, version: Arc::new(version), killed, store }
    }

    /// An event of no length. Whether a sandbox was there.
    async fn call(&self) -> bool {
        let acquired = self.service.acquire(&self.version, StartKind::Warm).await.unwrap();
        self.service.release(acquired.sandbox, acquired.hold, Disposition::Reusable).await;
        acquired.start == StartKind::Warm
    }

    async fn wait(&self, seconds: u64) {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            never = self.service.reap_forever(&self.store.0) => match never {},
        }
    }

    fn killed(&mut self) -> usize {
        std::iter::from_fn(|| self.killed.try_recv().ok()).count()
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_called_every_half_minute_keeps_its_sandbox() {
    let mut f = Fixture::new().await;
    f.call().await;
    for _ in 0..240 {
        f.wait(30).await;
        assert!(f.call().await);
    }
    assert_eq!((f.killed(), f.fleet.made.load(Relaxed)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_called_now_and_then_does_not_idle_for_ten_minutes() {
    const HOUR: u64 = 3600;
    let mut f = Fixture::new().await;
    for gap in [5, 9, 6, 11, 5, 7, 8, 6].map(|hours| hours * HOUR) {
        f.call().await;
        f.wait(gap).await;
    }
    assert_eq!(f.killed(), 8);
    f.call().await;
    f.wait(3).await;
    assert_eq!(f.killed(), 1, "it goes at once");
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_called_every_half_hour_finds_a_sandbox_if_there_is_room() {
    let mut f = Fixture::new().await;
    for _ in 0..8 {
        f.call().await;
        f.wait(1_800).await;
    }
    f.killed();
    let before = f.fleet.made.load(Relaxed);
    for _ in 0..3 {
        assert!(f.call().await, "it was made ahead");
        f.wait(60).await;
        assert_eq!(f.killed(), 1, "and is not kept until the next");
        f.wait(1_740).await;
    }
    assert_eq!(f.fleet.made.load(Relaxed) - before, 3);

    // Where there is no room nothing goes for it, though others idle.
    let other = Arc::new(version_of("222222222222", RevisionId::new()));
    f.call().await;
    f.wait(1_500).await;
    f.killed();
    let acquired = f.service.acquire(&other, StartKind::Warm).await.unwrap();
    f.service.release(acquired.sandbox, acquired.hold, Disposition::Reusable).await;
    f.fleet.is_full.store(true, Relaxed);
    f.wait(300).await;
    assert_eq!(f.killed(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_ahead_of_a_version_that_is_another_by_now() {
    let mut f = Fixture::new().await;
    for _ in 0..8 {
        f.call().await;
        f.wait(1_800).await;
    }
    f.killed();
    f.call().await;
    let made = f.fleet.made.load(Relaxed);
    let updated = FunctionVersion {
        key: VersionKey { revision: RevisionId::new(), ..f.version.key.clone() },
        ..(*f.version).clone()
    };
    let key = &updated.key;
    let name = keys::version(&key.account, &key.function, key.version);
    f.store.0.transact(Txn::new().put(name, keys::encode(&updated))).await.unwrap();
    f.wait(1_800).await;
    assert_eq!(f.fleet.made.load(Relaxed), made);
}
