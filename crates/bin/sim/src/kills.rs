//! Sandboxes end, by order of their leader.

use crate::functions::needs;
use crate::world::World;
use hearth_services::worker::Doing;
use hearth_types::{Partition, Reign, SandboxId, WorkerId};

impl World {
    /// Orders a sandbox killed, in the name of a leader. False if the worker did not obey.
    pub(crate) fn kill(&mut self, worker: u32, function: u32, id: SandboxId, by: Reign) -> bool {
        if self.workers[worker as usize].dead {
            return true;
        }
        if !self.workers[worker as usize].guests.obey(by) {
            self.figures.one(|f| &mut f.disobeyed);
            return false;
        }
        assert_eq!(self.leader(by.partition).reign, by, "an order of a deposed leader was obeyed");
        let Some(guest) = self.workers[worker as usize].release(function, id) else { return true };
        assert_eq!(guest.doing, Doing::Idle, "a sandbox was killed that does something");
        self.figures.idle_mib -= needs(function).mib();
        self.figures.taken_mib -= needs(function).mib();
        self.figures.happened_to(12, id);
        true
    }

    /// Kills what a partition's table has let go of.
    pub(crate) fn kill_all(&mut self, partition: Partition, doomed: &[(SandboxId, WorkerId)]) {
        let by = self.leader(partition).reign;
        for (id, worker) in doomed {
            let worker = self.by_id[worker];
            if let Some(function) = self.workers[worker as usize].guests.function_of(partition, *id)
            {
                self.kill(worker, function, *id, by);
            }
        }
    }

    /// Ends what is idle on a worker that drains, by each leader's order.
    pub(crate) fn drain_idle(&mut self, worker: u32) {
        let draining = [self.workers[worker as usize].id].into();
        for partition in 0..self.leaders.len() {
            let doomed = self.leaders[partition].table.drain(&draining);
            self.kill_all(Partition(partition as u16), &doomed);
        }
    }
}
