//! The part of the bookkeeping that is about pages fetched ahead.

use super::{Core, Phase};
use crate::AccessLog;
use crate::page::{PageNo, PageRun};
use bytes::Bytes;

/// What to do with pages of a pack that have come.
pub(crate) struct Arrival<W> {
    /// These were asked for meanwhile.
    pub(crate) deliver: Vec<(PageNo, Bytes, Vec<W>)>,
    /// These are in hand, to be pushed.
    pub(crate) push: Vec<(PageNo, Bytes)>,
}

impl<W: Clone> Core<W> {
    /// Pages will come without having been asked for. Those that are on their
    /// way or in the overlay are left as they are.
    pub(crate) fn expect(&mut self, pages: impl Iterator<Item = PageNo>) {
        for page in pages {
            if !self.written.contains(page) {
                self.coming.entry(page).or_default();
            }
        }
    }

    /// Pages of a pack are here.
    pub(crate) fn pack_arrived(
        &mut self,
        pages: impl Iterator<Item = (PageNo, Bytes)>,
    ) -> Arrival<W> {
        let mut arrival = Arrival { deliver: Vec::new(), push: Vec::new() };
        if matches!(self.phase, Phase::Closed) {
            return arrival;
        }
        for (page, bytes) in pages {
            // Not expected: fetched before the pack was planned, and here since.
            let Some(waiters) = self.coming.remove(&page) else { continue };
            if waiters.is_empty() {
                self.in_hand.insert(page, bytes.clone());
                arrival.push.push((page, bytes));
            } else {
                arrival.deliver.push((page, bytes, waiters));
            }
        }
        arrival
    }

    /// Pages of a pack will not come: those that were asked for have to be
    /// fetched, the others may be when they are.
    pub(crate) fn pack_failed(&mut self, pages: impl Iterator<Item = PageNo>) -> Vec<PageRun> {
        let mut fetch: Vec<PageRun> = Vec::new();
        for page in pages {
            let Some(waiters) = self.coming.get(&page) else { continue };
            if waiters.is_empty() {
                self.coming.remove(&page);
            } else if !fetch.last_mut().is_some_and(|run| run.extend(page)) {
                fetch.push(PageRun::one(page));
            }
        }
        self.counts.source_pages += fetch.iter().map(|run| u64::from(run.count)).sum::<u64>();
        fetch
    }

    /// Pages are no longer in hand; `done` says whether the asker's cache has them.
    pub(crate) fn pushed(&mut self, pages: impl Iterator<Item = PageNo>, done: bool) {
        for page in pages {
            self.in_hand.remove(&page);
            if done {
                self.counts.pushed_pages += 1;
                self.record.pushed.push(page);
            }
        }
    }

    /// What was touched so far.
    pub(crate) fn log(&self) -> AccessLog {
        AccessLog {
            touched: self.record.order.clone(),
            pushed: self.record.pushed.clone(),
            cut: self.record.cut,
        }
    }
}
