//! How many workers there are, once a minute.

use crate::events::Event;
use crate::world::World;
use hearth_planner::capacity::{Health, Limits, Load, Stage, ZoneChange, ZoneSize};
use hearth_planner::placement::Zone;
use std::time::Duration;

/// How often it is asked.
const STEP_MS: u64 = 60_000;
/// How far it has to look ahead: a new worker is up by then.
const HORIZON: Duration = Duration::from_secs(600);
/// Headroom beyond the forecast's upper bound, which has some of its own.
const HEADROOM_PERCENT: u32 = 20;

impl World {
    pub(crate) fn step(&mut self) {
        self.some_die();
        self.check();
        self.sample();
        let now = self.now();
        self.manager.seasonal.note(now, self.figures.taken_mib);
        let load = Load {
            in_use: self.figures.taken_mib,
            upper: self.manager.seasonal.demand_in(HORIZON).upper,
            of_one_worker: self.scenario.worker_mib,
            headroom_percent: HEADROOM_PERCENT,
        };
        let zones: Vec<ZoneSize> =
            (0..self.scenario.zones).map(|zone| self.size_of(Zone(zone))).collect();
        let (next, changes) = self.manager.sizing.step(&load, &zones);
        self.manager.sizing = next;
        changes.iter().for_each(|change| self.resize(change));
        self.plan_in(STEP_MS, Event::Step);
    }

    fn in_zone(&self, zone: Zone) -> impl Iterator<Item = u32> {
        self.manager.all_present().filter(move |w| self.workers[*w as usize].zone == zone)
    }

    fn sandboxes(&self, worker: u32) -> usize {
        self.count_on(worker)
    }

    fn is_empty(&self, worker: u32) -> bool {
        self.sandboxes(worker) == 0
    }

    fn size_of(&self, zone: Zone) -> ZoneSize {
        let count = |which: &dyn Fn(u32) -> bool| {
            self.in_zone(zone).filter(|worker| which(*worker)).count() as u32
        };
        let well = |w: u32| !self.manager.leaves(w) && self.manager.health(w) != Health::Sick;
        let serving = count(&well);
        let starting = self.manager.all_starting();
        let starting = starting.filter(|w| self.workers[*w as usize].zone == zone).count() as u32;
        let usual = self.scenario.workers / u32::from(self.scenario.zones.max(1));
        let limits = if self.lost_zone == Some(zone) {
            // Nothing can be started here.
            Limits { min: 0, max: serving + starting }
        } else {
            Limits { min: usual / 2, max: usual + usual / 2 }
        };
        ZoneSize {
            zone,
            serving,
            starting,
            empty: count(&|w| {
                well(w) && self.manager.stage(w) == Stage::Serving && self.is_empty(w)
            }),
            draining: count(&|w| self.manager.leaves(w)),
            drained: count(&|w| self.manager.leaves(w) && self.is_empty(w)),
            limits,
        }
    }

    fn resize(&mut self, change: &ZoneChange) {
        let here: Vec<u32> = self.in_zone(change.zone).collect();
        let leaving: Vec<u32> = here.iter().copied().filter(|w| self.manager.leaves(*w)).collect();
        for worker in leaving.iter().take(change.keep as usize) {
            self.manager.set_leaves(*worker, false);
            self.manager.set_stage(*worker, Stage::Serving);
            let id = self.workers[*worker as usize].id;
            self.fleet.set_standing(&id, self.manager.standing(*worker));
        }
        for _ in 0..change.gain {
            self.figures.one(|f| &mut f.gained);
            self.boot(change.zone);
        }
        let serves = |w: &u32| self.manager.stage(*w) == Stage::Serving;
        let mut serving: Vec<u32> = here.iter().copied().filter(serves).collect();
        serving.sort_by_key(|w| (self.sandboxes(*w), *w));
        let gone = leaving.iter().chain(&serving).copied().filter(|w| self.is_empty(*w));
        let gone: Vec<u32> = gone.take(change.lose as usize).collect();
        for worker in &gone {
            self.figures.one(|f| &mut f.lost);
            self.stop(*worker);
        }
        let drain = serving.into_iter().filter(|w| !gone.contains(w)).take(change.drain as usize);
        for worker in drain.collect::<Vec<_>>() {
            self.manager.set_leaves(worker, true);
            self.drain(worker);
        }
    }

    /// How full workers and zones are.
    fn sample(&mut self) {
        if !self.figures.counts() {
            return;
        }
        let serving = self
            .manager
            .all_present()
            .filter(|w| self.manager.serves(*w) && !self.workers[*w as usize].dead);
        let serving: Vec<u32> = serving.collect();
        let fill = |w: u32| self.workers[w as usize].fill_per_mille();
        let mean = |workers: &[u32]| {
            workers.iter().map(|w| fill(*w)).sum::<u64>() / workers.len().max(1) as u64
        };
        let zones = (0..self.scenario.zones).map(|zone| {
            let here = serving.iter().copied();
            here.filter(|w| self.workers[*w as usize].zone == Zone(zone)).collect::<Vec<_>>()
        });
        let zones: Vec<u64> =
            zones.filter(|here| !here.is_empty()).map(|here| mean(&here)).collect();
        let gap =
            zones.iter().max().zip(zones.iter().min()).map_or(0, |(most, least)| most - least);
        let mut fills: Vec<u64> = serving.iter().map(|w| fill(*w)).collect();
        fills.sort_unstable();
        let at =
            |percent: usize| fills.get(fills.len() * percent / 100).copied().unwrap_or_default();
        let (most, least) = (at(99), at(1));
        self.figures.zone_gaps.push(gap);
        self.figures.worker_gaps.push(most - least);
        self.figures.fills.push(mean(&serving));
    }
}
