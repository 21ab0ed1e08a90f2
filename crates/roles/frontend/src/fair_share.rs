//! A bound on something that accounts share (bytes, connections), in which none
//! can starve the others: an account may hold as much as it leaves free.
//!
//! ```text
//! one account   ▕ its half ▏        free        ▏
//! two accounts  ▕ a third ▕ a third ▏   free    ▏
//! ```
//!
//! So there is always a share for one account more. (The rule is that of
//! switches that share a buffer: Choudhury and Hahne, "Dynamic queue length
//! thresholds for shared-memory packet switches", 1998.)

use hearth_types::AccountId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The bound, and who holds what of it.
#[derive(Debug)]
pub(crate) struct FairShare {
    max: usize,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    /// What accounts hold together, but for what was charged beyond their shares:
    /// that is between them and the bound, and takes nothing from others.
    all: usize,
    /// Only accounts that hold something.
    by_account: HashMap<AccountId, usize>,
}

/// There is no room for this account.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What one holder has; given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    share: Arc<FairShare>,
    account: AccountId,
    count: usize,
    /// How many of them are beyond the account's share.
    beyond: usize,
}

impl FairShare {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, ledger: Mutex::default() })
    }

    /// A holder that has nothing yet.
    pub(crate) fn holder(self: &Arc<Self>, account: &AccountId) -> Held {
        Held { share: self.clone(), account: account.clone(), count: 0, beyond: 0 }
    }

    /// Whether an account holds more than its share.
    pub(crate) fn is_over(&self, account: &AccountId) -> bool {
        let ledger = self.ledger.lock();
        ledger.by_account.get(account).is_some_and(|mine| *mine > self.free(&ledger))
    }

    fn free(&self, ledger: &Ledger) -> usize {
        self.max.saturating_sub(ledger.all)
    }

    /// How much more an account can take and still leave as much free as it holds.
    fn left(&self, ledger: &Ledger, account: &AccountId) -> usize {
        let mine = ledger.by_account.get(account).map_or(0, |mine| *mine);
        self.free(ledger).saturating_sub(mine) / 2
    }
}

impl Held {
    /// What it has.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Takes more, if the account's share allows it.
    pub(crate) fn grow(&mut self, count: usize) -> Result<(), Full> {
        let mut ledger = self.share.ledger.lock();
        if count > self.share.left(&ledger, &self.account) {
            return Err(Full);
        }
        self.count += count;
        ledger.add(&self.account, count, 0);
        Ok(())
    }

    /// Takes more whether or not there is room: for what is in use by now. What is
    /// beyond the account's share counts against it alone.
    pub(crate) fn charge(&mut self, count: usize) {
        let mut ledger = self.share.ledger.lock();
        let beyond = count.saturating_sub(self.share.left(&ledger, &self.account));
        self.count += count;
        self.beyond += beyond;
        ledger.add(&self.account, count, beyond);
    }

    /// Takes the same of another share, and gives this back.
    pub(crate) fn moved(self, share: &Arc<FairShare>) -> Result<Held, Full> {
        if Arc::ptr_eq(&self.share, share) {
            return Ok(self);
        }
        let mut there = share.holder(&self.account);
        there.grow(self.count)?;
        Ok(there)
    }
}

impl Ledger {
    fn add(&mut self, account: &AccountId, count: usize, beyond: usize) {
        self.all += count - beyond;
        match self.by_account.get_mut(account) {
            Some(mine) => *mine += count,
            None => {
                self.by_account.insert(account.clone(), count);
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut ledger = self.share.ledger.lock();
        ledger.all -= self.count - self.beyond;
        if let Some(mine) = ledger.by_account.get_mut(&self.account) {
            *mine -= self.count;
            if *mine == 0 {
                ledger.by_account.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(n: u32) -> AccountId {
        format!("{n:012}").parse().unwrap()
    }

    /// Takes single bytes until there is no more room.
    fn fill(share: &Arc<FairShare>, n: u32) -> Held {
        let mut held = share.holder(&account(n));
        while held.grow(1).is_ok() {}
        held
    }

    #[test]
    fn an_account_leaves_as_much_as_it_takes() {
        let share = FairShare::new(120);
        let first = fill(&share, 1);
        assert_eq!(first.count(), 60, "alone, a half");
        assert_eq!(fill(&share, 1).count(), 0, "whatever the number of its requests");
        let second = fill(&share, 2);
        assert_eq!(second.count(), 30);
        drop(first);
        assert_eq!((fill(&share, 1).count(), fill(&share, 2).count()), (45, 7));
        drop(second);
        let mut two = [share.holder(&account(1)), share.holder(&account(2))];
        while two.each_mut().map(|held| held.grow(1)).contains(&Ok(())) {}
        assert!(two.iter().all(|held| held.count() == 40), "two that grow alike, a third each");
    }

    #[test]
    fn what_is_dropped_is_free_again_and_forgotten() {
        let share = FairShare::new(100);
        drop((fill(&share, 1), fill(&share, 2)));
        let ledger = share.ledger.lock();
        assert!(ledger.all == 0 && ledger.by_account.is_empty());
    }

    #[test]
    fn what_is_in_use_by_now_is_charged_beyond_the_share() {
        let share = FairShare::new(100);
        let mut answer = share.holder(&account(1));
        assert!(!share.is_over(&account(1)));
        answer.charge(130);
        answer.charge(130);
        assert!(share.is_over(&account(1)) && !share.is_over(&account(2)));
        assert_eq!(share.holder(&account(1)).grow(1), Err(Full));
        assert_eq!(fill(&share, 2).count(), 25, "as if the other had kept to its share");
        drop(answer);
        assert!(!share.is_over(&account(1)));
        assert_eq!(share.holder(&account(2)).grow(50), Ok(()));
    }

    #[test]
    fn a_move_needs_room_at_its_end() {
        let (claimed, kept) = (FairShare::new(100), FairShare::new(20));
        let held = fill(&claimed, 1);
        assert_eq!(held.moved(&kept).unwrap_err(), Full);
        assert_eq!(claimed.ledger.lock().all, 0, "refused, it holds nothing");
        let mut held = claimed.holder(&account(1));
        held.grow(10).unwrap();
        let held = held.moved(&kept).unwrap();
        assert_eq!((claimed.ledger.lock().all, kept.ledger.lock().all), (0, 10));
        assert_eq!(held.moved(&kept).unwrap().count(), 10);
    }
}
