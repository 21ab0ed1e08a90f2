//! Events on their way to a sandbox, in it, and back.

use crate::events::Event;
use crate::functions::needs;
use crate::traffic::Call;
use crate::world::World;
use hearth_services::assignment::Disposition;
use hearth_types::{Hold, SandboxId, StartKind};

/// What a warm call takes from its arrival to its begin.
const WARM_MS: u64 = 1;

/// An event that was given a sandbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) call: Call,
    pub(crate) sandbox: SandboxId,
    pub(crate) worker: u32,
    pub(crate) hold: Hold,
    pub(crate) tries: u32,
}

impl World {
    /// An idle sandbox was given to an event, which is on its way there.
    pub(crate) fn give(&mut self, run: Run) {
        self.tickets += 1;
        self.runs.insert(self.tickets, run);
        self.plan_in(WARM_MS, Event::Arrives(self.tickets));
    }

    pub(crate) fn arrives(&mut self, number: u64) {
        let Some(run) = self.runs.get(&number).copied() else { return };
        if self.begin(number, run, StartKind::Warm) {
            return;
        }
        // It never ran: another sandbox may run it.
        self.runs.remove(&number);
        if self.workers[run.worker as usize].dead {
            self.manager.lost(run.worker);
        } else {
            self.figures.one(|f| &mut f.passed_over);
        }
        self.hand_back(&run, Disposition::Discard);
        self.acquire(run.call, run.tries);
    }

    /// The event runs in a sandbox, if its worker is there and lets it.
    pub(crate) fn begin(&mut self, number: u64, run: Run, start: StartKind) -> bool {
        let worker = &mut self.workers[run.worker as usize];
        let Run { call, sandbox, hold, .. } = run;
        if worker.dead || !worker.guests.begin(call.function, sandbox, hold, number) {
            return false;
        }
        worker.event_began();
        self.runs.insert(number, run);
        self.figures.idle_mib -= needs(call.function).mib();
        self.figures.began(start, self.now_ms - call.at_ms);
        self.figures.happened_to(start as u64, sandbox);
        self.plan_in(call.runs_ms, Event::Ended(number));
        true
    }

    pub(crate) fn ended(&mut self, number: u64) {
        // It may have ended before, with its worker.
        let Some(run) = self.runs.remove(&number) else { return };
        let worker = &mut self.workers[run.worker as usize];
        worker.event_ended();
        worker.guests.ended(run.call.function, run.sandbox);
        self.figures.idle_mib += needs(run.call.function).mib();
        self.hand_back(&run, Disposition::Reusable);
    }

    /// Tells the leader that a sandbox is not this event's any more. If there is none, or
    /// it took over meanwhile and knows otherwise, nothing comes of it.
    pub(crate) fn hand_back(&mut self, run: &Run, disposition: Disposition) {
        let now = self.moment();
        let leader = self.leader_of(run.call.function);
        if !leader.serves() {
            return;
        }
        let doomed = leader.table.release(run.sandbox, run.hold, disposition, now);
        let mut doomed: Vec<_> = doomed.map(|_| run.sandbox).into_iter().collect();
        if self.manager.drains(run.worker) {
            let idle = self.leader_of(run.call.function).table.evict(&[run.sandbox]);
            doomed.extend(idle.into_iter().map(|(id, _)| id));
        }
        let reign = self.leader_of(run.call.function).reign;
        for id in doomed {
            self.kill(run.worker, run.call.function, id, reign);
        }
    }

    /// Its worker is gone with it, or gives it up.
    pub(crate) fn lose(&mut self, number: u64) {
        let Some(run) = self.runs.remove(&number) else { return };
        self.figures.one(|f| &mut f.lost_events);
        self.hand_back(&run, Disposition::Discard);
    }
}
