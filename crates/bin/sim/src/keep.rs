//! As many idle sandboxes of a function as its demand asks for.

use crate::events::Event;
use crate::functions::{key, wanted};
use crate::partitions::partition_of;
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
        let (now, moment) = (self.now(), self.moment());
        let state = self.functions.get(function);
        let idle_wanted = state.demand.idle_wanted(now);
        let (ahead, change) = (state.ahead, state.demand.next_change(now));
        if let Some(at_ms) = change.map(|at| at.as_millis() as u64)
            && state.change_ms.is_none_or(|planned| planned > at_ms)
        {
            state.change_ms = Some(at_ms);
            self.events.plan(at_ms, Event::Demand(function));
        }
        let leader = self.leader_of(function);
        if !leader.serves() {
            return;
        }
        let key = key(function);
        let idle = leader.table.count_idle(&key);
        let doomed = leader.table.trim(&key, idle.saturating_sub(idle_wanted));
        self.kill_all(partition_of(function), &doomed);
        for _ in 0..idle_wanted.saturating_sub(idle + ahead).min(AHEAD_MAX) {
            let id = self.fresh();
            self.functions.get(function).ahead += 1;
            self.leader_of(function).table.begin_ahead(&wanted(&key), moment, id);
            if !self.start(function, id, None) {
                self.leader_of(function).table.forget(id);
                self.functions.get(function).ahead -= 1;
                break;
            }
        }
    }
}
