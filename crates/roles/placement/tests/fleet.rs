//! Placement on workers that only pretend: never more than they hold, whoever asks at once,
//! and around those that are gone.

use async_trait::async_trait;
use hearth_placement::PlacementService;
use hearth_services::placement::{PlaceError, Placement};
use hearth_services::worker::*;
use hearth_types::testing::version_of;
use hearth_types::*;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const MIB: u64 = 1 << 20;
/// The zone of workers that create nothing, though they have room.
const BROKEN: &str = "broken";
/// The zone of workers that say that another leads.
const DEPOSING: &str = "deposing";
/// Says how it is, and is never heard of again once it is told to create anything.
const LOST: &str = "lost";

/// Room for as many sandboxes of 128 MB as it has places.
struct Pretender {
    id: WorkerId,
    places: u32,
    held: Mutex<u32>,
    creating: Mutex<Vec<SandboxId>>,
    is_gone: bool,
    is_broken: bool,
    zone: &'static str,
    /// What a creation takes.
    create: Duration,
}

struct Fleet(Vec<Arc<Pretender>>, Mutex<BTreeMap<WorkerId, Standing>>);

impl WorkerDirectory for Fleet {
    fn worker(&self, id: &WorkerId) -> Option<Arc<dyn Worker>> {
        self.0.iter().find(|worker| worker.id == *id).map(|worker| Arc::clone(worker) as _)
    }
    fn all(&self) -> Vec<(WorkerId, Arc<dyn Worker>)> {
        self.0.iter().map(|worker| (worker.id, Arc::clone(worker) as _)).collect()
    }
    fn zone(&self, id: &WorkerId) -> Option<ZoneName> {
        self.0.iter().find(|worker| worker.id == *id).map(|worker| worker.zone.parse().unwrap())
    }
    fn standing(&self, id: &WorkerId) -> Standing {
        self.1.lock().get(id).copied().unwrap_or_default()
    }
}

#[async_trait]
impl Worker for Pretender {
    async fn create(
        &self,
        id: SandboxId,
        _: &Arc<FunctionVersion>,
        _: StartKind,
        ordered: Reign,
    ) -> Result<Created, CreateError> {
        if self.zone == DEPOSING {
            return Err(Deposed { ordered, current: u64::MAX }.into());
        }
        if self.is_gone || self.zone == LOST {
            return Err(CreateError::Unreachable("gone".into()));
        }
        if self.is_broken {
            return Err(CreateError::Vm("no space is left".into()));
        }
        let revision = {
            let mut held = self.held.lock();
            if *held == self.places {
                return Err(CreateError::NoCapacity);
            }
            *held += 1;
            self.creating.lock().push(id);
            u64::from(*held)
        };
        tokio::time::sleep(self.create).await;
        self.creating.lock().retain(|creating| *creating != id);
        Ok(Created { start: StartKind::Cold, stages: StageTimes::default(), revision })
    }
    async fn invoke(&self, _: SandboxId, _: Invocation) -> Result<Invoked, InvokeError> {
        unreachable!("nothing is invoked")
    }
    async fn kill(&self, _: SandboxId, _: Reign) {
        unreachable!("nothing is killed")
    }
    async fn sandboxes(&self, _: Reign) -> Result<Vec<HeldSandbox>, SandboxesError> {
        unreachable!("nobody asks")
    }
    async fn status(&self) -> Option<WorkerStatus> {
        let creating = self.creating.lock().clone();
        let held = *self.held.lock();
        let room = |n: u32| Room { memory_bytes: u64::from(n) * 128 * MIB, disk_bytes: 0 };
        (!self.is_gone).then(|| WorkerStatus {
            worker: self.id,
            total: Room { disk_bytes: u64::MAX / 2, ..room(self.places) },
            promised: room(held),
            sandbox_overhead: Room::default(),
            sandboxes: held,
            sandboxes_max: self.places,
            revision: u64::from(held),
            cpus: 1,
            cpu_milli_busy: 0,
            functions: Vec::new(),
            creating,
            snapshots: Vec::new(),
            outcomes: Outcomes::default(),
        })
    }
}

fn fleet(places: &[(u32, &'static str)], gone: usize) -> (Arc<Fleet>, Arc<PlacementService>) {
    fleet_that_takes(Duration::from_millis(5), places, gone)
}

fn fleet_that_takes(
    create: Duration,
    places: &[(u32, &'static str)],
    gone: usize,
) -> (Arc<Fleet>, Arc<PlacementService>) {
    let worker = |(n, (places, zone)): (usize, &(u32, &'static str))| {
        let (id, held) = (WorkerId::new(), Mutex::new(0));
        let (places, is_gone, creating) = (*places, n < gone, Mutex::default());
        let is_broken = zone == &BROKEN;
        Arc::new(Pretender { id, places, held, creating, is_gone, is_broken, zone, create })
    };
    let fleet = Arc::new(Fleet(places.iter().enumerate().map(worker).collect(), Mutex::default()));
    (Arc::clone(&fleet), Arc::new(PlacementService::new(fleet)))
}

fn version(name: &str) -> Arc<FunctionVersion> {
    Arc::new(version_of("111111111111", name, Version::Latest, RevisionId::new()))
}

/// Places that many at once; how many found no room.
async fn place(placement: &Arc<PlacementService>, name: &str, count: u32) -> u32 {
    let version = version(name);
    let mut placing = JoinSet::new();
    for _ in 0..count {
        let (placement, version) = (Arc::clone(placement), Arc::clone(&version));
        placing.spawn(async move {
            placement.place(SandboxId::new(), &version, StartKind::Warm, Reign::ALONE).await
        });
    }
    let mut refused = 0;
    while let Some(placed) = placing.join_next().await {
        match placed.unwrap() {
            Ok(_) => {}
            Err(PlaceError::NoCapacity(_)) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    refused
}

#[tokio::test]
async fn placements_at_once_fill_the_fleet_and_never_more() {
    let (fleet, placement) = fleet(&[(3, "a"), (5, "a"), (2, "b")], 0);
    assert_eq!(place(&placement, "f", 14).await, 4);
    let held: Vec<u32> = fleet.0.iter().map(|worker| *worker.held.lock()).collect();
    assert_eq!(held, [3, 5, 2]);
    assert_eq!(place(&placement, "f", 1).await, 1);
}

#[tokio::test]
async fn two_that_place_at_once_are_told_no_by_workers_and_try_elsewhere() {
    let (fleet, first) = fleet(&[(4, "a"), (4, "b")], 0);
    let second = Arc::new(PlacementService::new(Arc::clone(&fleet) as _));
    let (refused, others) = tokio::join!(place(&first, "f", 4), place(&second, "g", 4));
    assert_eq!((refused, others), (0, 0));
}

#[tokio::test]
async fn what_is_being_created_takes_its_room_once() {
    let (fleet, placement) = fleet_that_takes(Duration::from_secs(2), &[(4, "a")], 0);
    let first = tokio::spawn({
        let placement = Arc::clone(&placement);
        async move { place(&placement, "f", 2).await }
    });
    while *fleet.0[0].held.lock() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(place(&placement, "f", 2).await, 0, "half of the room is left");
    assert_eq!(first.await.unwrap(), 0);
}

#[tokio::test]
async fn workers_that_are_gone_are_passed_by() {
    let (fleet, placement) = fleet(&[(9, "a"), (9, "a"), (9, "b")], 2);
    assert_eq!(place(&placement, "f", 6).await, 0);
    assert_eq!(*fleet.0[2].held.lock(), 6);
}

#[tokio::test]
async fn sandboxes_spread_over_zones() {
    let (fleet, placement) = fleet(&[(9, "a"), (9, "b"), (9, "c")], 0);
    assert_eq!(place(&placement, "f", 9).await, 0);
    let mut zones: BTreeMap<&str, u32> = BTreeMap::new();
    for worker in &fleet.0 {
        *zones.entry(worker.zone).or_default() += *worker.held.lock();
    }
    assert!(zones.values().all(|held| *held == 3), "{zones:?}");
}

#[tokio::test]
async fn workers_on_their_way_out_get_nothing_until_they_serve_again() {
    let (fleet, placement) = fleet(&[(4, "a"), (4, "a"), (2, "b")], 0);
    let held = || fleet.0.iter().map(|worker| *worker.held.lock()).collect::<Vec<u32>>();
    fleet.1.lock().insert(fleet.0[0].id, Standing::Cordoned);
    fleet.1.lock().insert(fleet.0[1].id, Standing::Draining);
    assert_eq!(place(&placement, "f", 3).await, 1);
    assert_eq!(held(), [0, 0, 2]);
    fleet.1.lock().clear();
    assert_eq!(place(&placement, "f", 8).await, 0);
    assert_eq!(held(), [4, 4, 2]);
}

#[tokio::test]
async fn workers_that_fail_are_passed_by_until_nobody_else_can() {
    let (fleet, placement) = fleet(&[(100, BROKEN), (4, "a")], 0);
    assert_eq!(place(&placement, "f", 4).await, 0);
    assert_eq!(*fleet.0[1].held.lock(), 4);
    // The other is full now, and what the broken one says is told.
    let version = version("f");
    let placed = placement.place(SandboxId::new(), &version, StartKind::Warm, Reign::ALONE);
    let error = placed.await.unwrap_err();
    assert!(matches!(error, PlaceError::Create(CreateError::Vm(_))), "{error:?}");
}

#[tokio::test]
async fn for_what_nobody_was_reached_no_room_would_help() {
    let version = version("f");
    let place = async |placement: Arc<PlacementService>| {
        let id = SandboxId::new();
        placement.place(id, &version, StartKind::Warm, Reign::ALONE).await.unwrap_err()
    };
    let error = place(fleet(&[(100, LOST)], 0).1).await;
    assert!(matches!(error, PlaceError::Create(CreateError::Unreachable(_))), "{error:?}");
    let error = place(fleet(&[(100, "a")], 1).1).await;
    assert!(matches!(error, PlaceError::NoCapacity(short) if short.room.is_none()), "{error:?}");
    let error = place(fleet(&[(0, "a")], 0).1).await;
    assert!(matches!(error, PlaceError::NoCapacity(short) if short.room.is_some()), "{error:?}");
}

#[tokio::test]
async fn where_one_says_that_another_leads_others_are_asked_and_it_is_told_if_none_can() {
    let (fleet, placement) = fleet(&[(100, DEPOSING), (4, "a"), (100, BROKEN)], 0);
    assert_eq!(place(&placement, "f", 4).await, 0);
    assert_eq!(*fleet.0[1].held.lock(), 4);
    // Whoever asks has to find out, whatever else went wrong.
    let version = version("g");
    let placed = placement.place(SandboxId::new(), &version, StartKind::Warm, Reign::ALONE);
    let error = placed.await.unwrap_err();
    assert!(matches!(error, PlaceError::Create(CreateError::Deposed(_))), "{error:?}");
}

#[tokio::test]
async fn a_worker_that_a_function_doubts_gets_of_it_what_no_other_can_take() {
    let (fleet, placement) = fleet(&[(100, "a"), (4, "b")], 0);
    placement.doubt(&version("f").key, &fleet.0[0].id);
    assert_eq!(place(&placement, "f", 4).await, 0);
    assert_eq!(*fleet.0[1].held.lock(), 4);
    assert_eq!(place(&placement, "f", 1).await, 0);
    assert_eq!(*fleet.0[0].held.lock(), 1);
    // Others do not care.
    assert_eq!(place(&placement, "g", 1).await, 0);
    assert_eq!(*fleet.0[0].held.lock(), 2);
}
