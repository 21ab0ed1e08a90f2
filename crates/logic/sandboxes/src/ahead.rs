//! Sandboxes that are made though nobody waits for them.

use crate::entry::{Entry, Wanted};
use crate::moment::Moment;
use crate::table::Table;
use hearth_types::{SandboxId, VersionKey, WorkerId};

impl Table {
    /// Notes that one is being made. No invocation is counted for it.
    pub fn begin_ahead(&mut self, wanted: &Wanted<'_>, now: Moment, id: SandboxId) {
        let hold = self.next_hold();
        let account = self.running.account(&wanted.key.account);
        self.insert(id, Entry::starting(wanted, account, hold, now));
    }

    /// It is there, and idle. If its version is no more by now, it is forgotten, and the
    /// worker returned where it is to be killed.
    pub fn made_ahead(&mut self, id: SandboxId, worker: WorkerId, now: Moment) -> Option<WorkerId> {
        let doomed = self.found_idle(id, worker, now);
        doomed.map(|(_, worker)| worker)
    }

    /// How many of a version are idle.
    pub fn count_idle(&self, key: &VersionKey) -> usize {
        self.idle_of(key).len()
    }

    /// So many idle ones of a version go, the longest idle first. Returns which, removed, to
    /// be killed.
    pub fn trim(&mut self, key: &VersionKey, excess: usize) -> Vec<(SandboxId, WorkerId)> {
        let doomed: Vec<SandboxId> = self.idle_of(key).iter().take(excess).copied().collect();
        self.evict(&doomed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{moment, version_of};
    use crate::{Begin, Running};
    use hearth_types::{Reign, RevisionId, StartKind};

    #[test]
    fn one_that_was_made_ahead_serves_and_took_no_invocations_place() {
        let mut table = Table::new(Reign::ALONE, Running::new(1));
        let version = version_of("111111111111", RevisionId::new());
        let (id, worker) = (SandboxId::new(), WorkerId::new());
        table.begin_ahead(&(&version).into(), moment(0), id);
        assert_eq!(table.made_ahead(id, worker, moment(1)), None);
        let begin = table.begin(&(&version).into(), StartKind::Warm, moment(2), SandboxId::new);
        assert!(matches!(begin, Begin::Warm(found, at, _) if (found, at) == (id, worker)));
    }

    #[test]
    fn events_are_counted_from_their_begin_and_none_for_what_is_made_ahead() {
        let mut table = Table::new(Reign::ALONE, Running::new(10));
        let version = version_of("111111111111", RevisionId::new());
        let begin = |table: &mut Table| {
            let begin = table.begin(&(&version).into(), StartKind::Cold, moment(0), SandboxId::new);
            let Begin::Start(id, _) = begin else { panic!("it is new") };
            id
        };
        let (runs, _starts) = (begin(&mut table), begin(&mut table));
        table.started(runs, WorkerId::new(), moment(1));
        table.begin_ahead(&(&version).into(), moment(1), SandboxId::new());
        let busy: Vec<usize> = table.busy().into_values().collect();
        assert_eq!(busy, [2]);
    }

    #[test]
    fn one_of_a_version_that_was_updated_meanwhile_is_killed() {
        let mut table = Table::new(Reign::ALONE, Running::new(1));
        let version = version_of("111111111111", RevisionId::new());
        let (id, worker) = (SandboxId::new(), WorkerId::new());
        table.begin_ahead(&(&version).into(), moment(0), id);
        assert!(table.retire(|_| true, None).is_empty());
        assert_eq!(table.made_ahead(id, worker, moment(1)), Some(worker));
        assert!(table.owned().is_empty());
    }

    #[test]
    fn the_longest_idle_go_first() {
        let mut table = Table::new(Reign::ALONE, Running::new(1));
        let version = version_of("111111111111", RevisionId::new());
        let ids: Vec<SandboxId> = (0..3).map(|_| SandboxId::new()).collect();
        for (n, id) in (0..).zip(&ids) {
            table.begin_ahead(&(&version).into(), moment(0), *id);
            table.made_ahead(*id, WorkerId::new(), moment(n));
        }
        let gone: Vec<SandboxId> =
            table.trim(&version.key, 2).into_iter().map(|(id, _)| id).collect();
        assert_eq!(gone, ids[..2]);
        assert_eq!(table.count_idle(&version.key), 1);
        assert_eq!(table.trim(&version.key, 0), []);
    }
}
