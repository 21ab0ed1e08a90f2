//! What idles and is not worth keeping goes, and what is expected is made ahead: as the real
//! keeper says, which is asked as often as assignment's reaper asks it.

use crate::events::Event;
use crate::functions::{number, wanted};
use crate::partitions::PARTITIONS;
use crate::world::World;
use hearth_types::Partition;
use std::time::Duration;

const KEEP_MS: u64 = 1_000;
const REAP_MS: u64 = 5_000;
/// Assignment's default.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(600);

impl World {
    pub(crate) fn keep(&mut self) {
        for partition in (0..PARTITIONS).map(Partition) {
            if self.leader(partition).serves() {
                self.keep_of(partition);
            }
        }
        self.plan_in(KEEP_MS, Event::Keep);
    }

    fn keep_of(&mut self, partition: Partition) {
        let now = self.moment();
        let leader = self.leader(partition);
        leader.keeper.learn(&leader.table.news());
        let mut is_more = true;
        while is_more {
            let leader = self.leader(partition);
            let (doomed, more) = leader.keeper.look(&mut leader.table, now);
            self.kill_all(partition, &doomed);
            is_more = more;
        }
        loop {
            let id = self.fresh();
            let leader = self.leader(partition);
            let Some(key) = leader.keeper.next_ahead(&leader.table, now.at) else { return };
            leader.table.begin_ahead(&wanted(&key), now, id);
            if !self.start(number(&key), id, None) {
                self.not_made_ahead(number(&key), id);
            }
        }
    }

    pub(crate) fn reap(&mut self) {
        let now = self.now();
        for partition in (0..PARTITIONS).map(Partition) {
            let old = self.leader(partition).table.expire(now, KEEP_ALIVE);
            self.kill_all(partition, &old);
        }
        self.plan_in(REAP_MS, Event::Reap);
    }
}
