//! A sandbox comes to be: placed, admitted, created, or not.

use crate::events::Event;
use crate::functions::{Needs, OVERHEAD, key, needs};
use crate::partitions::PARTITIONS;
use crate::runs::Run;
use crate::traffic::Call;
use crate::world::World;
use hearth_planner::evictions_for;
use hearth_planner::placement::{Decision, Request, Standing};
use hearth_types::{Hold, Partition, Reign, Room, SandboxId, StartKind};
use std::sync::Arc;

/// How often room is made for one sandbox: as often as assignment does.
const ROOM_ROUNDS_MAX: usize = 8;
/// How often a sandbox is placed anew whose worker refused or failed.
const ROUNDS_MAX: u32 = 3;
/// How long a call to a dead worker takes to fail.
const CONNECT_MS: u64 = 1_000;
/// Of a million creates so many fail.
const CREATES_FAILED: u64 = 500;

/// A sandbox that is being created.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) function: u32,
    id: SandboxId,
    /// What for, by which hold, and how often it tried; nothing if ahead of any.
    pub(crate) call: Option<(Call, Hold, u32)>,
    /// In whose name.
    reign: Reign,
    pub(crate) worker: u32,
    rounds: u32,
    kind: StartKind,
    /// Whether its worker has it.
    admitted: bool,
}

impl World {
    /// Has a sandbox created that its leader has noted as starting, with room made for it
    /// if it is for a call. False if there is none to be made.
    pub(crate) fn start(
        &mut self,
        function: u32,
        id: SandboxId,
        call: Option<(Call, Hold, u32)>,
    ) -> bool {
        let (reign, kind) = (self.leader_of(function).reign, StartKind::Cold);
        self.place(Start { function, id, call, reign, worker: 0, rounds: 0, kind, admitted: false })
    }

    fn place(&mut self, start: Start) -> bool {
        let needs = needs(start.function);
        let Needs { key, room, cpu_milli, layers, .. } = needs;
        let request = Request { function: key, room, cpu_milli, layers: &layers, avoid: &[] };
        for _ in 0..ROOM_ROUNDS_MAX {
            let seed = self.random.next();
            self.figures.one(|f| &mut f.decisions);
            match self.fleet.choose(&request, seed) {
                Ok(decision) => {
                    self.order(start, &needs, &decision);
                    return true;
                }
                Err(_) if start.call.is_none() => return false,
                Err(refusal) => {
                    if !self.make_room(refusal.short.unwrap_or_default()) {
                        return false;
                    }
                }
            }
        }
        false
    }

    fn order(&mut self, start: Start, needs: &Needs, decision: &Decision) {
        let worker = self.by_id[&decision.worker];
        assert!(self.manager.serves(worker), "{decision} is cordoned or gone");
        let (key, room) = (needs.key, needs.room);
        let promised = self.fleet.promise(&decision.worker, start.id, key, room, needs.cpu_milli);
        assert!(promised, "{decision} has no room");
        self.orders += 1;
        self.starts.insert(self.orders, Start { worker, ..start });
        self.workers[worker as usize].ordered += 1;
        self.figures.taken_mib += needs.mib();
        self.figures.happened_to(20 + u64::from(worker), start.id);
        let on_the_way = self.random.between(1, 5);
        self.plan_in(on_the_way, Event::Admit(self.orders));
    }

    /// Kills sandboxes of whichever partition, those idle for longest first, that have as
    /// much as the best worker lacks: as leaders do.
    fn make_room(&mut self, short: Room) -> bool {
        let now = self.moment();
        let serving = self.leaders.iter().filter(|leader| leader.serves());
        let idle: Vec<_> = serving.flat_map(|leader| leader.table.idle(OVERHEAD, now)).collect();
        let chosen = evictions_for(short, &idle);
        for partition in (0..PARTITIONS).map(Partition) {
            let leader = self.leader(partition);
            if !leader.serves() {
                continue;
            }
            let evicted = leader.table.evict(&chosen);
            self.kill_all(partition, &evicted);
            for (_, worker) in &evicted {
                self.figures.one(|f| &mut f.evicted);
                let worker = self.by_id[worker];
                if !self.workers[worker as usize].dead && !self.manager.is_gone(worker) {
                    self.tell(worker);
                }
            }
        }
        !chosen.is_empty()
    }

    pub(crate) fn admit(&mut self, order: u64) {
        let Some(start) = self.starts.get(&order).copied() else { return };
        let worker = &mut self.workers[start.worker as usize];
        if worker.dead {
            self.plan_in(CONNECT_MS, Event::CreateFailed(order));
            return;
        }
        if !worker.guests.obey(start.reign) {
            // Its leader's time was over when it came, and nobody waits for it.
            self.figures.one(|f| &mut f.disobeyed);
            self.over(order);
            return;
        }
        let needs = needs(start.function);
        let Some(revision) = worker.admit(start.function, start.id, &needs) else {
            self.figures.one(|f| &mut f.refused_by_workers);
            self.tell(start.worker);
            self.not_started(order);
            return;
        };
        worker.check();
        worker.ordered -= 1;
        let (kind, took_ms) = worker.start(&needs, &mut self.random);
        self.fleet.admitted(&start.id, revision);
        self.starts.insert(order, Start { kind, admitted: true, ..start });
        if self.random.per_million(CREATES_FAILED) {
            self.plan_in(took_ms, Event::CreateFailed(order));
        } else {
            self.plan_in(took_ms, Event::Created(order));
        }
    }

    pub(crate) fn created(&mut self, order: u64) {
        let Some(start) = self.starts.get(&order).copied() else { return };
        let Start { function, id, worker, .. } = start;
        if self.workers[worker as usize].dead {
            self.create_failed(order);
            return;
        }
        self.starts.remove(&order);
        self.manager.created(worker);
        self.workers[worker as usize].guests.created(function, id);
        self.figures.idle_mib += needs(function).mib();
        if start.reign != self.leader_of(function).reign || !self.leader_of(function).serves() {
            // Whoever leads by now finds it idle.
            return;
        }
        let (now, at) = (self.moment(), self.workers[worker as usize].id);
        match start.call {
            Some((call, hold, tries)) => {
                self.leader_of(function).table.started(id, at, now);
                let run = Run { call, sandbox: id, worker, hold, tries };
                self.tickets += 1;
                let begun = self.begin(self.tickets, run, start.kind);
                assert!(begun, "{id} was made for another");
            }
            None => {
                self.leader_of(function).keeper.made(&Arc::new(key(function)));
                self.figures.one(|f| &mut f.ahead);
                let doomed = self.leader_of(function).table.made_ahead(id, at, now);
                assert!(doomed.is_none(), "no version is ever replaced here");
                if self.manager.drains(worker) {
                    self.drain_idle(worker);
                }
            }
        }
    }

    pub(crate) fn create_failed(&mut self, order: u64) {
        let Some(start) = self.starts.get(&order).copied() else { return };
        self.manager.failed(start.worker);
        self.figures.one(|f| &mut f.failed_creates);
        let worker = &mut self.workers[start.worker as usize];
        worker.release(start.function, start.id);
        if !worker.dead {
            self.tell(start.worker);
        } else if self.manager.serves(start.worker) {
            // It did not even answer: until it is heard again, or looked at, others first.
            self.fleet.set_standing(&worker.id, Standing::Suspect);
        }
        self.not_started(order);
    }

    /// Nobody waits any more for what its worker says.
    pub(crate) fn create_given_up(&mut self, order: u64) {
        let Some(start) = self.starts.get(&order).copied() else { return };
        if start.admitted {
            self.workers[start.worker as usize].release(start.function, start.id);
        }
        self.not_started(order);
    }

    /// A creation came to its end, with nothing to show for it.
    fn over(&mut self, order: u64) -> Option<Start> {
        let start = self.starts.remove(&order)?;
        self.workers[start.worker as usize].ordered -= usize::from(!start.admitted);
        self.fleet.unpromise(&start.id);
        self.figures.taken_mib -= needs(start.function).mib();
        self.figures.happened_to(11, start.id);
        Some(start)
    }

    /// A sandbox came to nothing: it is placed anew, a few times.
    fn not_started(&mut self, order: u64) {
        let Some(start) = self.over(order) else { return };
        let leader = self.leader_of(start.function);
        if leader.reign != start.reign || !leader.serves() {
            return;
        }
        let again = Start { rounds: start.rounds + 1, admitted: false, ..start };
        if again.rounds < ROUNDS_MAX && self.place(again) {
            return;
        }
        match start.call {
            Some((call, _, tries)) => {
                self.leader_of(start.function).table.forget(start.id);
                self.wait(call, tries);
            }
            None => self.not_made_ahead(start.function, start.id),
        }
    }

    pub(crate) fn not_made_ahead(&mut self, function: u32, id: SandboxId) {
        let leader = self.leader_of(function);
        leader.table.forget(id);
        leader.keeper.made(&Arc::new(key(function)));
    }

    /// A leader that is no more waits for nothing; callers ask the next one.
    pub(crate) fn orphan_starts(&mut self, reign: Reign) {
        let mut orphans: Vec<u64> =
            self.starts.iter().filter(|(_, s)| s.reign == reign).map(|(order, _)| *order).collect();
        orphans.sort_unstable();
        for order in orphans {
            if let Some((call, _, tries)) = self.starts[&order].call {
                self.wait(call, tries);
            }
        }
    }
}
