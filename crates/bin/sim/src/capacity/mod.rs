//! The capacity manager: health, replacements and the number of workers, all decided by
//! the real planner.

mod manager;
mod sizing;

pub(crate) use manager::Manager;

use crate::events::Event;
use crate::world::World;
use hearth_planner::capacity::{Action, Health, Stage, WorkerState, replacements};
use hearth_planner::placement::{Standing, Zone};

/// How often workers' health is looked at.
const LOOK_MS: u64 = 10_000;
/// How long a new worker takes to be up.
const BOOT_MS: u64 = 60_000;

impl World {
    pub(crate) fn look(&mut self) {
        let changed = self.manager.look(self.now_ms);
        for (worker, health) in &changed {
            let id = self.workers[*worker as usize].id;
            self.fleet.set_standing(&id, self.manager.standing(*worker));
            self.figures.happened(14 + *health as u64, u64::from(*worker));
        }
        // Not before placement knows of all: what is given up is placed anew at once.
        for (worker, _) in changed.iter().filter(|(_, health)| *health == Health::Sick) {
            self.give_up(*worker);
        }
        let state = |worker: u32| WorkerState {
            worker: self.workers[worker as usize].id,
            zone: self.workers[worker as usize].zone,
            health: self.manager.health(worker),
            stage: self.manager.stage(worker),
            outdated: self.manager.is_outdated(worker),
            sandboxes: self.count_on(worker) as u32,
        };
        let stays = |worker: &u32| !self.manager.leaves(*worker);
        let states: Vec<WorkerState> =
            self.manager.all_present().filter(stays).map(state).collect();
        for action in replacements(&states, self.manager.starting()) {
            match action {
                Action::Cordon(id) => {
                    self.manager.set_stage(self.by_id[&id], Stage::Cordoned);
                    self.fleet.set_standing(&id, Standing::Cordoned);
                }
                Action::Drain(id) => self.drain(self.by_id[&id]),
                Action::Replace(id) => {
                    let worker = self.by_id[&id];
                    self.figures.one(|f| &mut f.replaced);
                    self.stop(worker);
                    self.boot(self.workers[worker as usize].zone);
                }
            }
        }
        self.plan_in(LOOK_MS, Event::Look);
    }

    /// What is idle on a worker goes, and what is busy goes when it ends.
    pub(crate) fn drain(&mut self, worker: u32) {
        self.manager.set_stage(worker, Stage::Draining(0));
        let id = self.workers[worker as usize].id;
        self.fleet.set_standing(&id, Standing::Draining);
        self.drain_idle(worker);
    }

    /// A worker is no more; what is still on it is lost.
    pub(crate) fn stop(&mut self, worker: u32) {
        self.manager.gone(worker);
        let id = self.workers[worker as usize].id;
        self.fleet.remove(&id);
        self.figures.happened(17, worker.into());
        self.give_up(worker);
    }

    pub(crate) fn boot(&mut self, zone: Zone) {
        if self.lost_zone == Some(zone) {
            return;
        }
        let worker = self.new_worker(zone);
        self.figures.happened(18, worker.into());
        self.plan_in(BOOT_MS, Event::Joined(worker));
    }
}
