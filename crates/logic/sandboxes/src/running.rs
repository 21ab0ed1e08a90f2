//! How many invocations each account has running: in all partitions that are led in one
//! process and, as far as others have said, elsewhere. The limit is of them all.

use hearth_types::AccountId;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Accounts that others are told of at most: those that run most.
const TOLD_MAX: usize = 4096;
/// Accounts that run nothing are forgotten when there are so many, and more than half.
const SPARE: usize = 1024;

/// What runs, for the tables of all leaders in one process.
pub struct Running {
    /// How many an account may have running at once.
    max: usize,
    accounts: Mutex<Accounts>,
}

#[derive(Default)]
struct Accounts {
    known: HashMap<AccountId, Arc<Account>>,
    sweep_at: usize,
}

impl Running {
    /// Nothing runs; each account may run that many at once.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, accounts: Mutex::default() })
    }

    /// Who runs how many here, for others to know: the busiest.
    pub fn here(&self) -> Vec<(AccountId, usize)> {
        let accounts = self.accounts.lock();
        let here = accounts.known.iter().map(|(id, a)| (id.clone(), a.here.load(Relaxed)));
        let mut here: Vec<_> = here.filter(|(_, running)| *running > 0).collect();
        drop(accounts);
        if here.len() > TOLD_MAX {
            here.sort_by_key(|(_, running)| Reverse(*running));
            here.truncate(TOLD_MAX);
        }
        here
    }

    /// Takes note of how many each account has running elsewhere; one that is not named
    /// runs nothing there.
    pub fn set_elsewhere(&self, elsewhere: &HashMap<AccountId, usize>) {
        let mut accounts = self.accounts.lock();
        for (id, account) in &accounts.known {
            account.elsewhere.store(elsewhere.get(id).copied().unwrap_or_default(), Relaxed);
        }
        for (id, running) in elsewhere {
            accounts.of(id).elsewhere.store(*running, Relaxed);
        }
    }

    pub(crate) fn account(&self, id: &AccountId) -> Arc<Account> {
        Arc::clone(self.accounts.lock().of(id))
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

impl Accounts {
    fn of(&mut self, id: &AccountId) -> &Arc<Account> {
        if !self.known.contains_key(id) && self.known.len() >= self.sweep_at {
            // Sandboxes hold on to their account, so none is forgotten that runs something.
            self.known.retain(|_, a| Arc::strong_count(a) > 1 || a.elsewhere.load(Relaxed) > 0);
            self.sweep_at = SPARE.max(2 * self.known.len());
        }
        self.known.entry(id.clone()).or_default()
    }
}

/// What one account has running.
#[derive(Default)]
pub(crate) struct Account {
    here: AtomicUsize,
    elsewhere: AtomicUsize,
}

impl Account {
    /// Counts one more, unless with it there would be more than `max`.
    pub(crate) fn may_begin(&self, max: usize) -> bool {
        let elsewhere = self.elsewhere.load(Relaxed);
        let one_more = |here: usize| (here.saturating_add(elsewhere) < max).then_some(here + 1);
        self.here.fetch_update(Relaxed, Relaxed, one_more).is_ok()
    }

    /// Counts one that nobody asked about.
    pub(crate) fn has_begun(&self) {
        self.here.fetch_add(1, Relaxed);
    }

    /// One that was counted ended.
    pub(crate) fn ended(&self) {
        let one_less = |here: usize| here.checked_sub(1);
        let counted = self.here.fetch_update(Relaxed, Relaxed, one_less);
        debug_assert!(counted.is_ok(), "none was counted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{moment, version_of};
    use crate::{Begin, Table};
    use hearth_types::{Reign, RevisionId, SandboxId, StartKind};

    const ACCOUNT: &str = "111111111111";

    fn begins(table: &mut Table) -> bool {
        let version = version_of(ACCOUNT, RevisionId::new());
        let now = moment(0);
        let begin = table.begin(&(&version).into(), StartKind::Warm, now, SandboxId::new);
        begin != Begin::OverConcurrency
    }

    fn here(running: &Running) -> usize {
        running.here().iter().map(|(_, running)| running).sum()
    }

    #[test]
    fn tables_of_one_process_share_the_limit_and_one_that_goes_gives_its_part_back() {
        let running = Running::new(3);
        let mut first = Table::new(Reign::ALONE, Arc::clone(&running));
        let mut second = Table::new(Reign::ALONE, Arc::clone(&running));
        assert!(begins(&mut first) && begins(&mut second) && begins(&mut second));
        assert!(!begins(&mut first) && !begins(&mut second));
        assert_eq!(here(&running), 3);
        second.resign();
        assert_eq!(here(&running), 1);
        assert!(begins(&mut second), "its requests may still be under way");
        drop(second);
        assert_eq!(here(&running), 1);
        drop(first);
        assert_eq!(running.here(), []);
    }

    #[test]
    fn what_runs_elsewhere_counts_as_long_as_others_say_so() {
        let running = Running::new(3);
        let mut table = Table::new(Reign::ALONE, Arc::clone(&running));
        let account: AccountId = ACCOUNT.parse().unwrap();
        running.set_elsewhere(&[(account.clone(), 2)].into());
        assert!(begins(&mut table) && !begins(&mut table));
        // More than may be: nobody knew of the other.
        running.set_elsewhere(&[(account, 5)].into());
        assert!(!begins(&mut table));
        running.set_elsewhere(&HashMap::new());
        assert!(begins(&mut table) && begins(&mut table) && !begins(&mut table));
    }

    #[test]
    fn accounts_that_run_nothing_are_forgotten() {
        let running = Running::new(1);
        let id = |n: usize| -> AccountId { format!("{n:012}").parse().unwrap() };
        let held = running.account(&id(0));
        held.has_begun();
        for n in 1..10 * SPARE {
            running.account(&id(n));
            assert!(running.accounts.lock().known.len() <= 2 * SPARE);
        }
        assert_eq!(running.here(), [(id(0), 1)]);
    }
}
