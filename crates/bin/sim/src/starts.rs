//! A sandbox comes to be: placed, admitted, created, or not.

use crate::events::Event;
use crate::functions::{Needs, needs};
use crate::table::{Sandbox, State};
use crate::traffic::Call;
use crate::world::World;
use hearth_planner::placement::{Decision, Request, Standing};
use hearth_planner::{IdleSandbox, evictions_for};
use hearth_types::{Room, StartKind};

/// How often room is made for one sandbox.
const ROOM_ROUNDS_MAX: usize = 4;
/// Of the sandboxes idle for longest, so many are looked at for a worker to make room on.
const EVICT_LOOK_MAX: usize = 64;
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
    /// What for; nothing if ahead of any.
    pub(crate) call: Option<Call>,
    rounds: u32,
    kind: StartKind,
    /// Whether its worker has it.
    admitted: bool,
}

impl World {
    /// Has a sandbox created, with room made for it if it is for a call. False if there is
    /// none to be made.
    pub(crate) fn start(&mut self, function: u32, call: Option<Call>) -> bool {
        self.place(Start { function, call, rounds: 0, kind: StartKind::Cold, admitted: false })
    }

    fn place(&mut self, start: Start) -> bool {
        let needs = needs(start.function);
        let Needs { key, room, cpu_milli, layers, .. } = needs;
        let request = Request { function: key, room, cpu_milli, layers: &layers };
        for _ in 0..ROOM_ROUNDS_MAX {
            let seed = self.random.next();
            self.figures.one(|f| &mut f.decisions);
            match self.fleet.choose(&request, seed) {
                Ok(decision) => {
                    self.order(start, &needs, &decision);
                    return true;
                }
                Err(_) if start.call.is_none() => return false,
                Err(_) => {
                    if !self.make_room(room) {
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
        let (number, id) = self.table.number();
        let (key, room) = (needs.key, needs.room);
        let promised = self.fleet.promise(&decision.worker, id, key, room, needs.cpu_milli);
        assert!(promised, "{decision} has no room");
        let (function, last_used_ms) = (start.function, self.now_ms);
        let sandbox = Sandbox { id, function, worker, state: State::Starting, last_used_ms };
        self.table.starting(number, sandbox);
        self.starts.insert(number, start);
        self.figures.taken_mib += room.memory_bytes >> 20;
        self.figures.happened(20 + u64::from(worker), number);
        let on_the_way = self.random.between(1, 5);
        self.plan_in(on_the_way, Event::Admit(number));
    }

    /// Kills the sandboxes idle for longest on one worker that has as much as is needed.
    fn make_room(&mut self, room: Room) -> bool {
        for worker in self.table.workers_by_age(EVICT_LOOK_MAX) {
            let id = self.workers[worker as usize].id;
            if !self.manager.serves(worker) || self.workers[worker as usize].dead {
                continue;
            }
            let Some(left) = self.fleet.room_left(&id) else { continue };
            let idle = self.table.on_worker(worker).filter(|(_, s)| s.state == State::Idle);
            let idle: Vec<(u64, IdleSandbox)> = idle
                .map(|(number, sandbox)| {
                    let (id, frees) = (sandbox.id, needs(sandbox.function).room);
                    (number, IdleSandbox { id, frees, last_used: sandbox.last_used_ms })
                })
                .collect();
            let sandboxes: Vec<IdleSandbox> = idle.iter().map(|(_, idle)| *idle).collect();
            let evicted = evictions_for(room.less(left), &sandboxes);
            for (number, _) in idle.iter().filter(|(_, idle)| evicted.contains(&idle.id)) {
                self.figures.one(|f| &mut f.evicted);
                self.remove(*number);
            }
            if !evicted.is_empty() {
                self.tell(worker);
                return true;
            }
        }
        false
    }

    pub(crate) fn admit(&mut self, number: u64) {
        let Some(sandbox) = self.table.get(number).copied() else { return };
        let worker = &mut self.workers[sandbox.worker as usize];
        if worker.dead {
            self.plan_in(CONNECT_MS, Event::CreateFailed(number));
            return;
        }
        let needs = needs(sandbox.function);
        let Some(revision) = worker.admit(&needs) else {
            self.figures.one(|f| &mut f.refused_by_workers);
            self.tell(sandbox.worker);
            self.not_started(number, &sandbox);
            return;
        };
        worker.check();
        let (kind, took_ms) = worker.start(&needs, &mut self.random);
        self.fleet.admitted(&sandbox.id, revision);
        if let Some(start) = self.starts.get_mut(&number) {
            (start.kind, start.admitted) = (kind, true);
        }
        if self.random.per_million(CREATES_FAILED) {
            self.plan_in(took_ms, Event::CreateFailed(number));
        } else {
            self.plan_in(took_ms, Event::Created(number));
        }
    }

    pub(crate) fn created(&mut self, number: u64) {
        let Some(sandbox) = self.table.get(number).copied() else { return };
        if self.workers[sandbox.worker as usize].dead {
            self.create_failed(number);
            return;
        }
        let Some(start) = self.starts.remove(&number) else { return };
        self.manager.created(sandbox.worker);
        match start.call {
            Some(call) => {
                self.table.started_busy(number, start.function);
                self.begin(number, call, start.kind, 0);
            }
            None => {
                self.functions.get(start.function).ahead -= 1;
                self.figures.one(|f| &mut f.ahead);
                self.table.release(number, self.now_ms);
                self.figures.idle_mib += needs(start.function).room.memory_bytes >> 20;
                if self.manager.drains(sandbox.worker) {
                    self.remove(number);
                }
                self.adjust(start.function);
            }
        }
    }

    pub(crate) fn create_failed(&mut self, number: u64) {
        let Some(sandbox) = self.table.get(number).copied() else { return };
        self.manager.failed(sandbox.worker);
        self.figures.one(|f| &mut f.failed_creates);
        let worker = &mut self.workers[sandbox.worker as usize];
        if worker.dead {
            // It did not even answer: until it is heard again, or looked at, others first.
            if self.manager.serves(sandbox.worker) {
                self.fleet.set_standing(&worker.id, Standing::Suspect);
            }
        } else {
            worker.release(&needs(sandbox.function));
            self.tell(sandbox.worker);
        }
        self.not_started(number, &sandbox);
    }

    /// Nobody waits any more for what its worker says.
    pub(crate) fn create_given_up(&mut self, number: u64) {
        let Some(sandbox) = self.table.get(number).copied() else { return };
        let admitted = self.starts.get(&number).is_some_and(|start| start.admitted);
        let worker = &mut self.workers[sandbox.worker as usize];
        if admitted && !worker.dead {
            worker.release(&needs(sandbox.function));
        }
        self.not_started(number, &sandbox);
    }

    /// A sandbox came to nothing: it is placed anew, a few times.
    fn not_started(&mut self, number: u64, sandbox: &Sandbox) {
        self.fleet.unpromise(&sandbox.id);
        self.table.remove(number);
        self.figures.taken_mib -= needs(sandbox.function).room.memory_bytes >> 20;
        self.figures.happened(11, number);
        let Some(start) = self.starts.remove(&number) else { return };
        let again = Start { rounds: start.rounds + 1, admitted: false, ..start };
        if again.rounds < ROUNDS_MAX && self.place(again) {
            return;
        }
        match start.call {
            Some(call) => {
                let now = self.now();
                self.functions.get(start.function).demand.ended(now);
                self.wait(call, start.rounds);
            }
            None => self.functions.get(start.function).ahead -= 1,
        }
    }
}
