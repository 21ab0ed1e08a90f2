//! Workers die, and what was on them is lost.

use crate::functions::needs;
use crate::scenario::Kind;
use crate::world::World;
use hearth_planner::placement::Zone;
use hearth_services::worker::Doing;

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
            Kind::LeaderLoss => self.lose_leaders(),
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
        self.clear(worker);
    }

    /// Gives up all that is on a worker, or is to be.
    pub(crate) fn give_up(&mut self, worker: u32) {
        let mut orders: Vec<u64> = self
            .starts
            .iter()
            .filter(|(_, s)| s.worker == worker)
            .map(|(order, _)| *order)
            .collect();
        orders.sort_unstable();
        // Before it was admitted, a live worker has nothing of it.
        orders.into_iter().for_each(|order| self.create_given_up(order));
        self.clear(worker);
        let id = self.workers[worker as usize].id;
        self.forget_worker(&id);
        assert_eq!(self.count_on(worker), 0, "something is left on {worker}");
    }

    /// What is on a worker is no more, but for what is being created.
    fn clear(&mut self, worker: u32) {
        let there: Vec<_> =
            self.workers[worker as usize].guests.all().map(|(id, guest)| (id, *guest)).collect();
        for (id, guest) in there {
            if guest.doing == Doing::Starting {
                continue;
            }
            let here = &mut self.workers[worker as usize];
            here.release(guest.function, id);
            let mib = needs(guest.function).mib();
            self.figures.taken_mib -= mib;
            if guest.doing == Doing::Busy {
                here.event_ended();
                self.lose(guest.run);
            } else {
                self.figures.idle_mib -= mib;
                self.figures.one(|f| &mut f.lost_idle);
            }
        }
    }

    /// Sandboxes that a worker has, or is to have.
    pub(crate) fn count_on(&self, worker: u32) -> usize {
        let worker = &self.workers[worker as usize];
        worker.guests.count() + worker.ordered
    }

    /// What must hold at any time.
    pub(crate) fn check(&self) {
        self.workers.iter().for_each(crate::worker::SimWorker::check);
        for worker in 0..self.workers.len() as u32 {
            let guests = &self.workers[worker as usize].guests;
            if self.manager.is_gone(worker) {
                assert_eq!(guests.count(), 0, "a sandbox is on worker {worker}, which is gone");
            } else if self.manager.drains(worker) && self.unsettled == 0 {
                let idle = guests.all().find(|(_, guest)| guest.doing == Doing::Idle);
                assert!(idle.is_none(), "an idle sandbox is on worker {worker}, which drains");
            }
        }
    }
}
