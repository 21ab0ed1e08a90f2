//! The placement role: asks the planner for a worker and has the sandbox
//! created there. It makes no choice itself.
#![forbid(unsafe_code)]

mod metrics;
mod view;

use async_trait::async_trait;
use hearth_ambient::random;
use hearth_planner::placement::Request;
use hearth_services::placement::{PlaceError, Placed, Placement, Shortage};
use hearth_services::worker::{CreateError, WorkerDirectory};
use hearth_types::{FunctionVersion, Reign, Room, SandboxId, StartKind, VersionKey, WorkerId};
use std::sync::Arc;
use tokio::time::Instant;
use view::{FleetView, function_key, layer};

pub use metrics::register_metrics;

/// How often a placement tries again after a worker admitted another sandbox
/// first, or was not reached. Each round sees fresh figures, so more rounds would only
/// mean a fleet that is truly full.
const ROUNDS_MAX: usize = 4;

/// The executor of the planner's decisions.
pub struct PlacementService {
    workers: Arc<dyn WorkerDirectory>,
    view: FleetView,
}

impl PlacementService {
    /// Places onto the workers of this directory.
    pub fn new(workers: Arc<dyn WorkerDirectory>) -> Self {
        Self { workers, view: FleetView::default() }
    }
}

#[async_trait]
impl Placement for PlacementService {
    async fn place(
        &self,
        id: SandboxId,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
        reign: Reign,
    ) -> Result<Placed, PlaceError> {
        let result = self.place_on_best(id, version, quickest, reign).await;
        metrics::placed(&result);
        result
    }

    fn doubt(&self, version: &VersionKey, worker: &WorkerId) {
        self.view.doubt(function_key(&version.account, &version.function), worker);
    }
}

impl PlacementService {
    async fn place_on_best(
        &self,
        id: SandboxId,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
        reign: Reign,
    ) -> Result<Placed, PlaceError> {
        let began = Instant::now();
        let snapshot = version.snapshot.as_ref().map(layer);
        let function = function_key(&version.key.account, &version.key.function);
        // How the last failed that did, who said that another leads, and who was not reached.
        let (mut failed, mut deposed, mut unreached) = (None, Vec::new(), None);
        for _ in 0..ROUNDS_MAX {
            let is_fresh = self.view.refresh(&*self.workers).await;
            let mut avoid = self.view.doubted(function);
            avoid.extend(deposed.iter().map(|(worker, _)| *worker));
            let request = Request {
                function,
                avoid: &avoid,
                room: version.room().plus(self.view.overhead()),
                cpu_milli: u64::from(version.memory.cpu_millis()),
                layers: snapshot.as_slice(),
            };
            let chosen = match self.choose(id, &request) {
                Ok(chosen) => chosen,
                // Room may have been freed since the view was read.
                Err(_) if !is_fresh => {
                    self.view.outdate().await;
                    continue;
                }
                Err(short) => return Err(PlaceError::NoCapacity(short)),
            };
            if (failed.is_some() || !deposed.is_empty()) && avoid.contains(&chosen) {
                // Nobody else can.
                self.view.fleet.lock().unpromise(&id);
                break;
            }
            let Some(worker) = self.workers.worker(&chosen) else {
                self.view.fleet.lock().unpromise(&id);
                self.view.outdate().await;
                continue;
            };
            let place = began.elapsed();
            let error = match worker.create(id, version, quickest, reign).await {
                Ok(mut created) => {
                    self.view.fleet.lock().admitted(&id, created.revision);
                    created.stages.place = place;
                    return Ok(Placed { worker: chosen, created });
                }
                Err(error) => error,
            };
            self.view.fleet.lock().unpromise(&id);
            match error {
                // It filled up since it told its status, or is going: look again.
                CreateError::NoCapacity | CreateError::ShuttingDown => self.view.outdate().await,
                CreateError::Unreachable(error) => {
                    tracing::debug!(worker = %chosen, error = &*error as &dyn std::error::Error,
                        "a worker was not reached; trying another");
                    self.view.suspect(&chosen);
                    unreached = Some(error);
                }
                // It may be wrong. If it is right, others know it too, or what is made there
                // is nobody's.
                CreateError::Deposed(by) => deposed.push((chosen, by)),
                // Its host's fault, which another may not have, a full disk, say; or the
                // function's, which then fails there too.
                error @ (CreateError::Fetch(_) | CreateError::Vm(_)) => {
                    tracing::warn!(worker = %chosen, error = &error as &dyn std::error::Error,
                        "a worker failed to create a sandbox; trying another");
                    self.view.doubt(function, &chosen);
                    if failed.replace(error).is_some() {
                        break;
                    }
                }
                error => return Err(PlaceError::Create(error)),
            }
        }
        if let Some((_, deposed)) = deposed.pop() {
            // Whoever asks finds out.
            return Err(PlaceError::Create(deposed.into()));
        }
        Err(match (failed, unreached) {
            (Some(error), _) => PlaceError::Create(error),
            // To make room would help nobody.
            (None, Some(error)) => PlaceError::Create(CreateError::Unreachable(error)),
            (None, None) => PlaceError::NoCapacity(self.shortage(Some(Room::default()))),
        })
    }

    /// The planner's choice, noted as promised.
    fn choose(&self, id: SandboxId, request: &Request<'_>) -> Result<WorkerId, Shortage> {
        let seed = u64::from_le_bytes(random::bytes());
        let mut fleet = self.view.fleet.lock();
        match fleet.choose(request, seed) {
            Ok(decision) => {
                tracing::debug!(sandbox = %id, seed, %decision, "placing");
                fleet.promise(
                    &decision.worker,
                    id,
                    request.function,
                    request.room,
                    request.cpu_milli,
                );
                Ok(decision.worker)
            }
            Err(refusal) => {
                drop(fleet);
                tracing::debug!(sandbox = %id, %refusal, "no place");
                Err(self.shortage(refusal.short))
            }
        }
    }

    fn shortage(&self, room: Option<Room>) -> Shortage {
        Shortage { room, sandbox_overhead: self.view.overhead() }
    }
}
