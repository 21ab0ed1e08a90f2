//! As many idle sandboxes of a function as its demand asks for.

use crate::events::Event;
use crate::functions::needs;
use crate::table::State;
use crate::world::World;

/// Sandboxes of one function that are restored ahead at once: any more wait for its next
/// change, so that no forecast floods the fleet.
const AHEAD_MAX: usize = 16;

impl World {
    pub(crate) fn demand_changed(&mut self, function: u32) {
        let state = self.functions.get(function);
        if state.change_ms == Some(self.now_ms) {
            state.change_ms = None;
            self.adjust(function);
        }
    }

    pub(crate) fn adjust(&mut self, function: u32) {
        let now = self.now();
        let state = self.functions.get(function);
        let wanted = state.demand.idle_wanted(now);
        let (ahead, change) = (state.ahead, state.demand.next_change(now));
        if let Some(at_ms) = change.map(|at| at.as_millis() as u64)
            && state.change_ms.is_none_or(|planned| planned > at_ms)
        {
            state.change_ms = Some(at_ms);
            self.events.plan(at_ms, Event::Demand(function));
        }
        let idle = self.table.idle_of(function);
        // Those idle for longest go first.
        let excess = idle.len().saturating_sub(wanted);
        let excess: Vec<u64> = idle.iter().take(excess).copied().collect();
        let missing = wanted.saturating_sub(idle.len() + ahead).min(AHEAD_MAX);
        excess.into_iter().for_each(|number| self.remove(number));
        for _ in 0..missing {
            self.functions.get(function).ahead += 1;
            if !self.start(function, None) {
                self.functions.get(function).ahead -= 1;
                break;
            }
        }
    }

    /// Ends a sandbox that no event runs in; of a dead worker, only forgets it.
    pub(crate) fn remove(&mut self, number: u64) {
        let Some(sandbox) = self.table.remove(number) else { return };
        let needs = needs(sandbox.function);
        let mib = needs.room.memory_bytes >> 20;
        self.figures.taken_mib -= mib;
        if sandbox.state == State::Idle {
            self.figures.idle_mib -= mib;
        }
        self.figures.happened(12, number);
        let worker = &mut self.workers[sandbox.worker as usize];
        if !worker.dead {
            worker.release(&needs);
        }
    }
}
