//! Leaders of partitions go, and others follow: by the journal, which says what there is,
//! and by what workers say of it. The rules are the real ones.

use crate::events::Event;
use crate::functions::{number, wanted};
use crate::partitions::{Leader, PARTITIONS};
use crate::world::World;
use hearth_sandboxes::{Begin, Found};
use hearth_services::assignment::SandboxState;
use hearth_services::worker::Doing;
use hearth_types::{Partition, Reign, Room, SandboxId, StartKind, WorkerId};
use std::collections::HashSet;

/// What a failover took where a leader was killed, and where it hung (measured:
/// decision 25).
const KILLED_MS: (u64, u64) = (37, 431);
const HUNG_MS: (u64, u64) = (3_300, 3_700);
/// When one that hung wakes up.
const WAKES_MS: u64 = 9_000;
/// Of a million sandboxes of which the journal should know where they are, it does not of
/// so many: that is written in the background.
const READY_LOST: u64 = 50_000;
/// How often a leader asks all workers: seldom, as it changes nothing where no leader
/// went; and more often where one did, so many times.
const ROUND_MS: u64 = 300_000;
const SETTLE_MS: u64 = 3_000;
const SETTLE_ROUNDS: u32 = 5;
/// How much harm one that wakes up tries to do.
const TRIES_OF_DEPOSED: usize = 100;

impl World {
    /// Every second leader is killed, the others hang.
    pub(crate) fn lose_leaders(&mut self) {
        for number in 0..PARTITIONS {
            let partition = Partition(number);
            let hangs = number % 2 == 1;
            let (least, most) = if hangs { HUNG_MS } else { KILLED_MS };
            let takes = self.random.between(least, most);
            let reign = self.leader(partition).reign;
            let next = Leader::new(Reign { epoch: reign.epoch + 1, ..reign });
            let old = std::mem::replace(self.leader(partition), next);
            let mut journal = old.table.owned();
            journal.sort_unstable_by_key(|(id, _)| *id);
            for (_, owned) in &mut journal {
                if self.random.per_million(READY_LOST) {
                    owned.worker = None;
                }
            }
            let leader = self.leader(partition);
            leader.vacant = Some(journal);
            if hangs {
                leader.deposed = Some((reign, old.table));
                self.plan_in(WAKES_MS, Event::Wakes(partition));
            }
            self.orphan_starts(reign);
            self.unsettled += 1;
            self.plan_in(takes, Event::Leads(partition));
        }
    }

    /// A new leader takes over what the journal says, asks all workers, and serves.
    pub(crate) fn leads(&mut self, partition: Partition) {
        let now = self.moment();
        let leader = self.leader(partition);
        let Some(journal) = leader.vacant.take() else { return };
        let inherited = journal.len() as u64;
        for (id, owned) in journal {
            leader.table.inherit(id, owned, now);
        }
        self.figures.inherited += inherited;
        self.figures.leaders_lost += 1;
        self.ask_all(partition);
        self.check_nothing_is_lost(partition);
        self.plan_in(SETTLE_MS, Event::Settles(partition, 1));
    }

    pub(crate) fn settles(&mut self, partition: Partition, round: u32) {
        self.ask_all(partition);
        if round < SETTLE_ROUNDS {
            self.plan_in(SETTLE_MS, Event::Settles(partition, round + 1));
        } else {
            self.check_nothing_is_lost(partition);
            self.unsettled -= 1;
        }
    }

    pub(crate) fn reconcile(&mut self) {
        (0..PARTITIONS).for_each(|number| self.ask_all(Partition(number)));
        self.plan_in(ROUND_MS, Event::Reconcile);
    }

    /// Compares a table with what all workers say.
    fn ask_all(&mut self, partition: Partition) {
        if !self.leader(partition).serves() {
            return;
        }
        let (asked, reign) = (self.moment(), self.leader(partition).reign);
        let (mut here, mut all_answered) = (HashSet::new(), true);
        let present: Vec<u32> = self.manager.all_present().collect();
        for worker in present {
            let asks = &mut self.workers[worker as usize];
            let id = asks.id;
            here.insert(id);
            if asks.dead {
                all_answered = false;
                continue;
            }
            assert!(asks.guests.obey(reign), "there is no newer leader");
            let held = asks.guests.held(partition);
            let leader = self.leader(partition);
            if held.is_empty() && leader.table.on_worker(&id).next().is_none() {
                continue;
            }
            let found = leader.table.compare(id, &held, asked);
            self.conclude(partition, found);
        }
        let leader = self.leader(partition);
        let gone = leader.table.forget_lost(&mut leader.missing, &here, all_answered, asked.at);
        let mut draining = leader.table.idle_workers();
        self.conclude(partition, Found { gone, ..Found::default() });
        draining.retain(|worker| self.manager.drains(self.by_id[worker]));
        let drained = self.leader(partition).table.drain(&draining);
        self.kill_all(partition, &drained);
    }

    fn conclude(&mut self, partition: Partition, found: Found) {
        let Found { gone, strays, doomed } = found;
        assert!(doomed.is_empty(), "no version is ever replaced here");
        for id in gone {
            self.figures.happened_to(19, id);
        }
        self.kill_all(partition, &strays);
    }

    /// One that hung wakes up, and goes on as if nothing had been.
    pub(crate) fn wakes(&mut self, partition: Partition) {
        let now = self.moment();
        let Some((reign, mut table)) = self.leader(partition).deposed.take() else { return };
        let idle = table.idle(Room::default(), now);
        let half = idle.len().min(TRIES_OF_DEPOSED) / 2;
        // It reaps,
        let old: Vec<SandboxId> = idle.iter().take(half).map(|sandbox| sandbox.id).collect();
        for (id, worker) in table.evict(&old) {
            let worker = self.by_id[&worker];
            let Some(function) = self.workers[worker as usize].guests.function_of(partition, id)
            else {
                continue;
            };
            let there = !self.workers[worker as usize].dead;
            let obeyed = self.kill(worker, function, id, reign);
            assert!(!(there && obeyed), "an order of a deposed leader was obeyed");
        }
        // and gives sandboxes to events.
        let others: Vec<SandboxId> = idle.iter().skip(half).take(half).map(|s| s.id).collect();
        for id in others {
            let Some((_, key)) = table.state_of(id) else { continue };
            let (key, function) = (key.clone(), number(key));
            let begin =
                table.begin(&wanted(&key), StartKind::Warm, now, || unreachable!("one is idle"));
            let Begin::Warm(id, worker, hold) = begin else { continue };
            let worker = &mut self.workers[self.by_id[&worker] as usize];
            let runs = !worker.dead && worker.guests.begin(function, id, hold, 0);
            assert!(!runs, "an event ran in the name of a deposed leader");
            self.figures.one(|f| &mut f.disobeyed);
        }
    }

    /// All that workers have is known to its leader, as what it is.
    fn check_nothing_is_lost(&self, partition: Partition) {
        let under_way: HashSet<SandboxId> = self.runs.values().map(|run| run.sandbox).collect();
        let table = &self.leaders[usize::from(partition.0)].table;
        for worker in self.manager.all_present() {
            let worker = &self.workers[worker as usize];
            for (id, guest) in worker.guests.of(partition).filter(|_| !worker.dead) {
                let state = table.state_of(id).map(|(state, _)| state);
                match guest.doing {
                    Doing::Starting => {}
                    Doing::Busy => assert_eq!(state, Some(SandboxState::Busy), "{id}"),
                    Doing::Idle if under_way.contains(&id) => {}
                    Doing::Idle => assert_eq!(state, Some(SandboxState::Idle), "{id}"),
                }
            }
        }
    }

    /// Everything on a worker is gone for good.
    pub(crate) fn forget_worker(&mut self, id: &WorkerId) {
        for leader in &mut self.leaders {
            let there: Vec<SandboxId> = leader.table.on_worker(id).collect();
            there.into_iter().for_each(|id| leader.table.forget(id));
        }
    }
}
