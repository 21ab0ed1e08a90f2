//! The placement role: asks the planner for a worker and has the sandbox
//! created there. It makes no choice itself.
#![forbid(unsafe_code)]

mod metrics;

use async_trait::async_trait;
use hearth_planner::{Candidate, choose_worker, least_shortage};
use hearth_services::placement::{PlaceError, Placed, Placement, Shortage};
use hearth_services::worker::{CreateError, WorkerDirectory, WorkerStatus};
use hearth_types::{FunctionVersion, Reign, Room, SandboxId, StartKind};
use std::sync::Arc;
use tokio::time::Instant;

pub use metrics::register_metrics;

/// How often a placement tries again after a worker admitted another sandbox
/// first. Each round sees fresh figures, so more rounds would only mean a
/// fleet that is truly full.
const ROUNDS_MAX: usize = 3;

/// The executor of the planner's decisions.
pub struct PlacementService {
    workers: Arc<dyn WorkerDirectory>,
}

impl PlacementService {
    /// Places onto the workers of this directory.
    pub fn new(workers: Arc<dyn WorkerDirectory>) -> Self {
        Self { workers }
    }

    async fn fleet(&self) -> Vec<WorkerStatus> {
        let mut fleet = Vec::new();
        for (_, worker) in self.workers.all() {
            fleet.extend(worker.status().await);
        }
        fleet
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
        let nothing = Room::default();
        let mut short = Shortage { room: nothing, sandbox_overhead: nothing };
        for _ in 0..ROUNDS_MAX {
            let fleet = self.fleet().await;
            let overheads = fleet.iter().map(|w| w.sandbox_overhead);
            let overhead = overheads.max_by_key(|o| o.memory_bytes).unwrap_or(nothing);
            let demand = version.room().plus(overhead);
            let candidates: Vec<Candidate> = fleet.into_iter().map(candidate).collect();
            short = Shortage {
                room: least_shortage(demand, &candidates).unwrap_or(nothing),
                sandbox_overhead: overhead,
            };
            let chosen = choose_worker(demand, &candidates).ok_or(PlaceError::NoCapacity(short))?;
            let Some(worker) = self.workers.worker(&chosen) else { continue };
            let place = began.elapsed();
            match worker.create(id, version, quickest, reign).await {
                Ok(mut created) => {
                    created.stages.place = place;
                    return Ok(Placed { worker: chosen, created });
                }
                // It filled up since it told its status: look again.
                Err(CreateError::NoCapacity) => {}
                Err(error) => return Err(PlaceError::Create(error)),
            }
        }
        Err(PlaceError::NoCapacity(short))
    }
}

fn candidate(status: WorkerStatus) -> Candidate {
    Candidate {
        worker: status.worker,
        total: status.total,
        promised: status.promised,
        sandboxes: status.sandboxes,
        sandboxes_max: status.sandboxes_max,
    }
}
