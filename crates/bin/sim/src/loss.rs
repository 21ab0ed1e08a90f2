//! Workers die, and what was on them is lost.

use crate::scenario::Kind;
use crate::table::State;
use crate::world::World;
use hearth_planner::placement::Zone;

/// Of a million workers so many die in a minute: one of 10,000 every two minutes.
const DEATHS_A_MINUTE: u64 = 50;

impl World {
    pub(crate) fn what_the_scenario_is_about(&mut self) {
        match self.scenario.kind {
            // The crowd is part of the traffic.
            Kind::Steady | Kind::FlashCrowd => {}
            Kind::ZoneLoss => {
                self.lost_zone = Some(Zone(0));
                let here = |worker: &u32| self.workers[*worker as usize].zone == Zone(0);
                let dead: Vec<u32> = self.manager.all_present().filter(here).collect();
                dead.into_iter().for_each(|worker| self.die(worker));
            }
            Kind::RollingRestarts => self.manager.all_outdated(),
        }
    }

    pub(crate) fn some_die(&mut self) {
        let present: Vec<u32> = self.manager.all_present().collect();
        for worker in present {
            if self.random.per_million(DEATHS_A_MINUTE) {
                self.die(worker);
            }
        }
    }

    /// A worker is gone from one moment to the next. Callers of what ran there see it;
    /// that nothing is idle there any more is found out later.
    fn die(&mut self, worker: u32) {
        if std::mem::replace(&mut self.workers[worker as usize].dead, true) {
            return;
        }
        self.figures.one(|f| &mut f.died);
        self.figures.happened(13, worker.into());
        self.lose_all(worker, |state| state == State::Busy);
    }

    /// Gives up all that is on a worker.
    pub(crate) fn give_up(&mut self, worker: u32) {
        self.lose_all(worker, |_| true);
        assert_eq!(self.table.count_on(worker), 0, "something is left on {worker}");
    }

    fn lose_all(&mut self, worker: u32, which: impl Fn(State) -> bool) {
        let doomed = self.table.on_worker(worker).filter(|(_, s)| which(s.state));
        let doomed: Vec<(u64, State, u32)> =
            doomed.map(|(number, s)| (number, s.state, s.function)).collect();
        for (number, state, function) in doomed {
            match state {
                State::Starting => {
                    // Before it was admitted, a live worker has nothing of it.
                    self.create_given_up(number);
                    continue;
                }
                State::Busy => {
                    if !self.workers[worker as usize].dead {
                        self.workers[worker as usize].event_ended();
                    }
                    let now = self.now();
                    self.functions.get(function).demand.ended(now);
                    self.figures.one(|f| &mut f.lost_events);
                }
                State::Idle => self.figures.one(|f| &mut f.lost_idle),
            }
            self.remove(number);
        }
    }

    /// What must hold at any time.
    pub(crate) fn check(&self) {
        self.workers.iter().for_each(crate::worker::SimWorker::check);
        for worker in 0..self.workers.len() as u32 {
            let mut here = self.table.on_worker(worker);
            if self.manager.is_gone(worker) {
                assert!(here.next().is_none(), "a sandbox is on worker {worker}, which is gone");
            } else if self.manager.drains(worker) {
                let idle = here.any(|(_, sandbox)| sandbox.state == State::Idle);
                assert!(!idle, "an idle sandbox is on worker {worker}, which drains");
            }
        }
    }
}
