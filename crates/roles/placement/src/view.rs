//! What placement knows of the fleet: what workers said, and what it has had created since.

use hearth_planner::placement::{Fleet, FunctionKey, Layer, Member, Standing, Zone};
use hearth_services::worker::{self, Worker, WorkerDirectory, WorkerStatus};
use hearth_types::{AccountId, FunctionName, Room, SnapshotId, WorkerId, ZoneName};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// How much of asking falls on a worker: a fleet of so many is asked as often as this many
/// times as long. A small one is asked before nearly each placement.
const ASK_INTERVAL: Duration = Duration::from_micros(500);
/// How long a worker may take to say how it is. One that takes longer gets sandboxes only
/// if no other can take them.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// How long a function avoids a worker that failed it. One that still does costs a try each
/// time, one that is well again needs nobody to say so.
const DOUBT: Duration = Duration::from_secs(30);
/// Functions that avoid any; beyond, workers get another try.
const DOUBTS_MAX: usize = 4096;
/// Workers that one avoids, the latest: a placement holds each against all workers.
const DOUBTED_MAX: usize = 8;
/// If asking takes long, since one does not answer, it may take this share of the time at most:
/// placements wait for it.
const SLOW_TIMES: u32 = 4;
/// Workers asked at once.
const ASKED_MAX: usize = 128;

/// The view.
#[derive(Default)]
pub(crate) struct FleetView {
    pub(crate) fleet: Mutex<Fleet>,
    known: Mutex<Known>,
    /// When all were asked last. Held while they are.
    asked: tokio::sync::Mutex<Option<Asked>>,
}

#[derive(Default)]
struct Known {
    workers: HashSet<WorkerId>,
    /// Which workers each function avoids, since when. Only its own, so that one which breaks
    /// its guests spoils no worker for others.
    doubts: HashMap<FunctionKey, Vec<Doubt>>,
    zones: HashMap<ZoneName, Zone>,
    /// The most that any worker needs for a sandbox beyond its function's own.
    overhead: Room,
}

/// That all workers were asked.
struct Asked {
    at: Instant,
    took: Duration,
}

/// Of a worker, since when.
type Doubt = (WorkerId, Instant);

fn is_recent((_, since): &Doubt) -> bool {
    since.elapsed() < DOUBT
}

impl FleetView {
    /// Asks all workers how they are, unless that was just done; whether it did.
    pub(crate) async fn refresh(&self, workers: &dyn WorkerDirectory) -> bool {
        let mut asked = self.asked.lock().await;
        let all = workers.all();
        let fresh_for = ASK_INTERVAL * all.len() as u32;
        if asked
            .as_ref()
            .is_some_and(|asked| asked.at.elapsed() < fresh_for.max(asked.took * SLOW_TIMES))
        {
            return false;
        }
        let began = Instant::now();
        self.forget_others(all.iter().map(|(id, _)| *id).collect());
        let mut asking = JoinSet::new();
        for (id, worker) in all {
            if asking.len() >= ASKED_MAX {
                self.take(asking.join_next().await, workers);
            }
            hearth_tasks::spawn_in(&mut asking, "worker status", ask(id, worker));
        }
        while let answer @ Some(_) = asking.join_next().await {
            self.take(answer, workers);
        }
        *asked = Some(Asked { at: began, took: began.elapsed() });
        true
    }

    /// A worker did not do what it was asked to, and nobody knows why.
    pub(crate) fn suspect(&self, worker: &WorkerId) {
        self.fleet.lock().set_standing(worker, Standing::Suspect);
    }

    /// A worker failed a function, or does not have what it said that it created for it.
    pub(crate) fn doubt(&self, function: FunctionKey, worker: &WorkerId) {
        let doubts = &mut self.known.lock().doubts;
        if doubts.len() >= DOUBTS_MAX {
            doubts.retain(|_, of_it| of_it.iter().any(is_recent));
        }
        if doubts.len() >= DOUBTS_MAX && !doubts.contains_key(&function) {
            return;
        }
        let of_it = doubts.entry(function).or_default();
        of_it.retain(|doubt| doubt.0 != *worker && is_recent(doubt));
        if of_it.len() >= DOUBTED_MAX {
            of_it.remove(0);
        }
        of_it.push((*worker, Instant::now()));
    }

    /// The workers that a function avoids.
    pub(crate) fn doubted(&self, function: FunctionKey) -> Vec<WorkerId> {
        let known = self.known.lock();
        let of_it = known.doubts.get(&function).into_iter().flatten();
        of_it.filter(|doubt| is_recent(doubt)).map(|(worker, _)| *worker).collect()
    }

    /// Has all workers asked again before the next placement.
    pub(crate) async fn outdate(&self) {
        *self.asked.lock().await = None;
    }

    /// The most that any worker needs for a sandbox beyond its function's own.
    pub(crate) fn overhead(&self) -> Room {
        self.known.lock().overhead
    }

    fn forget_others(&self, here: HashSet<WorkerId>) {
        let mut known = self.known.lock();
        let mut fleet = self.fleet.lock();
        known.workers.difference(&here).for_each(|gone| fleet.remove(gone));
        known.workers = here;
    }

    fn take(
        &self,
        answer: Option<Result<(WorkerId, Option<WorkerStatus>), tokio::task::JoinError>>,
        workers: &dyn WorkerDirectory,
    ) {
        match answer {
            Some(Ok((id, Some(status)))) => {
                let (creating, revision) = (status.creating.clone(), status.revision);
                let member = self.member(id, status, workers.zone(&id));
                let mut fleet = self.fleet.lock();
                // What it counts itself by now is not to be counted twice.
                creating.iter().for_each(|sandbox| fleet.admitted(sandbox, revision));
                fleet.upsert(member);
                fleet.set_standing(&id, standing(workers, &id, Standing::Healthy));
            }
            Some(Ok((id, None))) => {
                let standing = standing(workers, &id, Standing::Suspect);
                self.fleet.lock().set_standing(&id, standing);
            }
            // Its panic has been logged.
            Some(Err(_)) | None => {}
        }
    }

    fn member(&self, worker: WorkerId, status: WorkerStatus, zone: Option<ZoneName>) -> Member {
        let mut known = self.known.lock();
        if status.sandbox_overhead.memory_bytes > known.overhead.memory_bytes {
            known.overhead = status.sandbox_overhead;
        }
        let next = Zone(known.zones.len() as u16);
        let zone = zone.map_or(Zone(0), |zone| *known.zones.entry(zone).or_insert(next));
        let functions = status.functions.iter();
        Member {
            worker,
            zone,
            revision: status.revision,
            standing: Standing::Healthy,
            total: status.total,
            promised: status.promised,
            cpu_milli_total: u64::from(status.cpus) * 1000,
            cpu_milli_used: status.cpu_milli_busy,
            sandboxes: status.sandboxes,
            sandboxes_max: status.sandboxes_max,
            expected_bytes: 0,
            functions: functions.map(|(a, f, count)| (function_key(a, f), *count)).collect(),
            layers: status.snapshots.iter().map(layer).collect(),
        }
    }
}

/// What the capacity manager says of a worker, or else what was just seen.
fn standing(workers: &dyn WorkerDirectory, id: &WorkerId, seen: Standing) -> Standing {
    match workers.standing(id) {
        worker::Standing::Serving => seen,
        worker::Standing::Cordoned => Standing::Cordoned,
        worker::Standing::Draining => Standing::Draining,
    }
}

async fn ask(id: WorkerId, worker: Arc<dyn Worker>) -> (WorkerId, Option<WorkerStatus>) {
    (id, timeout(ANSWER_MAX, worker.status()).await.ok().flatten())
}

/// A function, as the planner tells it from others.
pub(crate) fn function_key(account: &AccountId, function: &FunctionName) -> FunctionKey {
    FunctionKey(hash((account, function)))
}

/// A snapshot, as the planner tells it from others.
pub(crate) fn layer(snapshot: &SnapshotId) -> Layer {
    Layer(hash(snapshot))
}

/// The same for the same, in this process.
fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
