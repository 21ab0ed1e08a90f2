//! What the capacity manager knows of each worker.

use hearth_forecast::seasonal::Seasonal;
use hearth_planner::capacity::{Health, Record, Signs, Sizing, Stage};
use hearth_planner::placement::Standing;
use std::time::Duration;

/// Whether a worker is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Starting,
    Up,
    Gone,
}

struct Managed {
    presence: Presence,
    record: Record,
    stage: Stage,
    /// It drains in order to be taken away, not to be replaced.
    leaves: bool,
    outdated: bool,
    heard_ms: u64,
    /// Since the last look.
    signs: Signs,
}

#[derive(Default)]
pub(crate) struct Manager {
    workers: Vec<Managed>,
    pub(crate) sizing: Sizing,
    pub(crate) seasonal: Seasonal,
}

impl Manager {
    /// One more worker, which starts.
    pub(crate) fn add(&mut self) {
        self.workers.push(Managed {
            presence: Presence::Starting,
            record: Record::default(),
            stage: Stage::Serving,
            leaves: false,
            outdated: false,
            heard_ms: 0,
            signs: Signs::default(),
        });
    }

    pub(crate) fn joined(&mut self, worker: u32, now_ms: u64) {
        self.of(worker).presence = Presence::Up;
        self.of(worker).heard_ms = now_ms;
    }

    pub(crate) fn gone(&mut self, worker: u32) {
        self.of(worker).presence = Presence::Gone;
    }

    pub(crate) fn heard(&mut self, worker: u32, now_ms: u64) {
        self.of(worker).heard_ms = now_ms;
    }

    pub(crate) fn created(&mut self, worker: u32) {
        self.of(worker).signs.creates_ok += 1;
    }

    pub(crate) fn failed(&mut self, worker: u32) {
        self.of(worker).signs.creates_failed += 1;
    }

    pub(crate) fn lost(&mut self, worker: u32) {
        self.of(worker).signs.sandboxes_lost += 1;
    }

    pub(crate) fn all_outdated(&mut self) {
        self.workers.iter_mut().for_each(|worker| worker.outdated = true);
    }

    /// Begins or goes on to be on its way out.
    pub(crate) fn set_stage(&mut self, worker: u32, stage: Stage) {
        self.of(worker).stage = stage;
    }

    pub(crate) fn set_leaves(&mut self, worker: u32, leaves: bool) {
        self.of(worker).leaves = leaves;
    }

    /// Looks at all; returns whose health is another now.
    pub(crate) fn look(&mut self, now_ms: u64) -> Vec<(u32, Health)> {
        let mut changed = Vec::new();
        for (number, worker) in (0..).zip(&mut self.workers) {
            if worker.presence != Presence::Up {
                continue;
            }
            let heartbeat_age = Duration::from_millis(now_ms - worker.heard_ms);
            let signs = Signs { heartbeat_age, ..std::mem::take(&mut worker.signs) };
            let before = worker.record.health();
            worker.record = worker.record.look(&signs);
            if let Stage::Draining(looks) = &mut worker.stage {
                *looks += 1;
            }
            let health = worker.record.health();
            if health != before {
                changed.push((number, health));
            }
        }
        changed
    }

    pub(crate) fn all_present(&self) -> impl Iterator<Item = u32> {
        let all = (0..).zip(&self.workers);
        all.filter(|(_, w)| w.presence == Presence::Up).map(|(number, _)| number)
    }

    pub(crate) fn present(&self) -> usize {
        self.all_present().count()
    }

    /// Workers that are not up yet.
    pub(crate) fn all_starting(&self) -> impl Iterator<Item = u32> {
        let all = (0..).zip(&self.workers);
        all.filter(|(_, w)| w.presence == Presence::Starting).map(|(number, _)| number)
    }

    pub(crate) fn starting(&self) -> usize {
        self.all_starting().count()
    }

    pub(crate) fn is_gone(&self, worker: u32) -> bool {
        self.get(worker).presence == Presence::Gone
    }

    /// Whether sandboxes may be placed there.
    pub(crate) fn serves(&self, worker: u32) -> bool {
        self.get(worker).presence == Presence::Up && self.standing(worker).takes_sandboxes()
    }

    /// Whether nothing may be idle there.
    pub(crate) fn drains(&self, worker: u32) -> bool {
        matches!(self.get(worker).stage, Stage::Draining(_))
    }

    pub(crate) fn leaves(&self, worker: u32) -> bool {
        self.get(worker).leaves
    }

    pub(crate) fn is_outdated(&self, worker: u32) -> bool {
        self.get(worker).outdated
    }

    pub(crate) fn stage(&self, worker: u32) -> Stage {
        self.get(worker).stage
    }

    pub(crate) fn health(&self, worker: u32) -> Health {
        self.get(worker).record.health()
    }

    pub(crate) fn standing(&self, worker: u32) -> Standing {
        let worker = self.get(worker);
        match worker.stage {
            Stage::Serving => worker.record.health().standing(),
            Stage::Cordoned => Standing::Cordoned,
            Stage::Draining(_) => Standing::Draining,
        }
    }

    fn get(&self, worker: u32) -> &Managed {
        &self.workers[worker as usize]
    }

    fn of(&mut self, worker: u32) -> &mut Managed {
        &mut self.workers[worker as usize]
    }
}
