//! A call gets a sandbox: an idle one, else a new one, else it waits for room.

use crate::events::Event;
use crate::functions::{key, wanted};
use crate::runs::Run;
use crate::traffic::Call;
use crate::world::World;
use hearth_sandboxes::Begin;
use hearth_types::StartKind;

/// Calls that may wait for room.
pub(crate) const QUEUE_MAX: usize = 10_000;
/// How often one tries again, and after how long each time.
const TRIES_MAX: u32 = 8;
const RETRY_MS: u64 = 250;
/// How long it waits for a leader: as long as front ends do.
const UNLED_MS_MAX: u64 = 15_000;

impl World {
    pub(crate) fn acquire(&mut self, call: Call, tries: u32) {
        if !self.leader_of(call.function).serves() {
            self.wait_for_leader(call, tries);
            return;
        }
        let key = key(call.function);
        let (now, fresh) = (self.moment(), self.fresh());
        let leader = self.leader_of(call.function);
        let begin = leader.table.begin(&wanted(&key), StartKind::Warm, now, || fresh);
        match begin {
            Begin::OverConcurrency => self.refuse(call),
            Begin::Warm(sandbox, worker, hold) => {
                let worker = self.by_id[&worker];
                self.give(Run { call, sandbox, worker, hold, tries });
            }
            Begin::Start(sandbox, hold) => {
                if !self.start(call.function, sandbox, Some((call, hold, tries))) {
                    self.leader_of(call.function).table.forget(sandbox);
                    self.wait(call, tries);
                }
            }
        }
    }

    fn refuse(&mut self, call: Call) {
        self.figures.one(|f| &mut f.refused);
        self.figures.happened(10, call.function.into());
    }

    fn wait_for_leader(&mut self, call: Call, tries: u32) {
        self.figures.one(|f| &mut f.unled);
        if self.now_ms - call.at_ms > UNLED_MS_MAX {
            self.refuse(call);
        } else {
            self.queue(call, tries);
        }
    }

    /// It tries again, but not for ever.
    pub(crate) fn wait(&mut self, call: Call, tries: u32) {
        if tries >= TRIES_MAX {
            self.refuse(call);
        } else {
            self.queue(call, tries + 1);
        }
    }

    fn queue(&mut self, call: Call, tries: u32) {
        if self.waiting.len() >= QUEUE_MAX {
            self.refuse(call);
            return;
        }
        self.tickets += 1;
        self.waiting.insert(self.tickets, (call, tries));
        assert!(self.waiting.len() <= QUEUE_MAX, "the queue is over its bound");
        self.figures.one(|f| &mut f.retries);
        self.plan_in(RETRY_MS, Event::Retry(self.tickets));
    }

    pub(crate) fn retry(&mut self, ticket: u64) {
        if let Some((call, tries)) = self.waiting.remove(&ticket) {
            self.acquire(call, tries);
        }
    }
}
