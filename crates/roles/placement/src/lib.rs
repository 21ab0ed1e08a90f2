//! The placement role: asks the planner for a worker and has the sandbox
//! created there. It makes no choice itself.
#![forbid(unsafe_code)]

use async_trait::async_trait;
use hearth_planner::{Candidate, Demand, choose_worker, least_shortage_bytes};
use hearth_services::placement::{PlaceError, Placed, Placement, Shortage};
use hearth_services::worker::{CreateError, WorkerDirectory, WorkerStatus};
use hearth_types::{FunctionVersion, SandboxId};
use std::sync::Arc;
use tokio::time::Instant;

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
        for worker in self.workers.all() {
            fleet.push(worker.status().await);
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
    ) -> Result<Placed, PlaceError> {
        let began = Instant::now();
        let mut short = Shortage { memory_bytes: 0, sandbox_overhead_bytes: 0 };
        for _ in 0..ROUNDS_MAX {
            let fleet = self.fleet().await;
            let overhead = fleet.iter().map(|w| w.sandbox_overhead_bytes).max().unwrap_or(0);
            let memory = u64::from(version.memory.get()) * 1024 * 1024;
            let demand = Demand { memory_bytes: memory + overhead };
            let candidates: Vec<Candidate> = fleet.into_iter().map(candidate).collect();
            short = Shortage {
                memory_bytes: least_shortage_bytes(demand, &candidates).unwrap_or(0),
                sandbox_overhead_bytes: overhead,
            };
            let chosen = choose_worker(demand, &candidates).ok_or(PlaceError::NoCapacity(short))?;
            let Some(worker) = self.workers.worker(&chosen) else { continue };
            let place = began.elapsed();
            match worker.create(id, version).await {
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
        memory_total_bytes: status.memory_total_bytes,
        memory_promised_bytes: status.memory_promised_bytes,
        sandboxes: status.sandboxes,
        sandboxes_max: status.sandboxes_max,
    }
}
