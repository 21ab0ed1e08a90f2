//! A call gets a sandbox: an idle one, else a new one, else it waits for room.

use crate::events::Event;
use crate::functions::needs;
use crate::traffic::Call;
use crate::world::World;
use hearth_types::StartKind;

/// What a warm call takes from its arrival to its begin.
const WARM_MS: u64 = 1;
/// Calls that may wait for room.
pub(crate) const QUEUE_MAX: usize = 10_000;
/// How often one tries again, and after how long each time.
const TRIES_MAX: u32 = 8;
const RETRY_MS: u64 = 250;

impl World {
    pub(crate) fn acquire(&mut self, call: Call, tries: u32) {
        while let Some((number, sandbox)) = self.table.begin(call.function) {
            self.figures.idle_mib -= needs(call.function).room.memory_bytes >> 20;
            if self.workers[sandbox.worker as usize].dead {
                // The event never reached it: another sandbox may run it.
                self.manager.lost(sandbox.worker);
                self.figures.one(|f| &mut f.lost_idle);
                self.remove(number);
                continue;
            }
            let now = self.now();
            self.functions.get(call.function).demand.began(now);
            self.begin(number, call, StartKind::Warm, WARM_MS);
            self.adjust(call.function);
            return;
        }
        if self.start(call.function, Some(call)) {
            let now = self.now();
            self.functions.get(call.function).demand.began(now);
            self.adjust(call.function);
        } else {
            self.wait(call, tries);
        }
    }

    /// The event runs in a sandbox that is busy with it.
    pub(crate) fn begin(&mut self, number: u64, call: Call, start: StartKind, more_ms: u64) {
        let sandbox = *self.table.get(number).expect("it is busy");
        let worker = &mut self.workers[sandbox.worker as usize];
        assert!(!worker.dead, "an event was sent to a dead worker");
        worker.event_began();
        self.figures.began(start, self.now_ms - call.at_ms + more_ms);
        self.figures.happened(start as u64, number);
        self.plan_in(call.runs_ms + more_ms, Event::Ended(number));
    }

    pub(crate) fn wait(&mut self, call: Call, tries: u32) {
        if tries >= TRIES_MAX || self.waiting.len() >= QUEUE_MAX {
            self.figures.one(|f| &mut f.refused);
            self.figures.happened(10, call.function.into());
            return;
        }
        self.tickets += 1;
        self.waiting.insert(self.tickets, (call, tries + 1));
        assert!(self.waiting.len() <= QUEUE_MAX, "the queue is over its bound");
        self.figures.one(|f| &mut f.retries);
        self.plan_in(RETRY_MS, Event::Retry(self.tickets));
    }

    pub(crate) fn retry(&mut self, ticket: u64) {
        if let Some((call, tries)) = self.waiting.remove(&ticket) {
            self.acquire(call, tries);
        }
    }

    pub(crate) fn ended(&mut self, number: u64) {
        // It may have ended before, with its worker.
        let Some(sandbox) = self.table.get(number).copied() else { return };
        self.workers[sandbox.worker as usize].event_ended();
        let now = self.now();
        self.functions.get(sandbox.function).demand.ended(now);
        self.table.release(number, self.now_ms);
        self.figures.idle_mib += needs(sandbox.function).room.memory_bytes >> 20;
        if self.manager.drains(sandbox.worker) {
            self.remove(number);
        }
        self.adjust(sandbox.function);
    }
}
