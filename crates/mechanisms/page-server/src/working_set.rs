//! Which pages a restored guest touches, learnt from several restores.
//!
//! After Ustiugov et al., "Benchmarking, Analysis, and Optimization of
//! Serverless Function Snapshots" (ASPLOS 2021): the pages that a restore
//! touches are nearly the same each time, and few.

use crate::core::RECORD_PAGES_MAX;
use crate::page::PageNo;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// Recordings merged at once; the set hardly changes after the first few.
pub const RECORDINGS_MAX: usize = 64;
/// Pages of a working set.
pub const WORKING_SET_PAGES_MAX: usize = RECORD_PAGES_MAX;

/// What one clone touched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLog {
    /// Pages that were asked for, in the order in which they were first.
    pub touched: Vec<PageNo>,
    /// Pages that were pushed before they were asked for, in order: whether
    /// they were used, nobody knows.
    pub pushed: Vec<PageNo>,
    /// More was touched than a log can hold.
    pub cut: bool,
}

/// The pages worth fetching ahead, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<PageNo>", into = "Vec<PageNo>")]
pub struct WorkingSet(Vec<PageNo>);

/// A list of pages is no working set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WorkingSetError {
    /// It is too long.
    #[error("a working set of {0} pages, and {WORKING_SET_PAGES_MAX} are possible")]
    TooLong(usize),
    /// A page is in it twice.
    #[error("page {} is twice in a working set", (.0).0)]
    Twice(PageNo),
}

impl TryFrom<Vec<PageNo>> for WorkingSet {
    type Error = WorkingSetError;

    fn try_from(pages: Vec<PageNo>) -> Result<Self, WorkingSetError> {
        if pages.len() > WORKING_SET_PAGES_MAX {
            return Err(WorkingSetError::TooLong(pages.len()));
        }
        let mut seen = HashSet::with_capacity(pages.len());
        match pages.iter().find(|page| !seen.insert(**page)) {
            Some(twice) => Err(WorkingSetError::Twice(*twice)),
            None => Ok(Self(pages)),
        }
    }
}

impl From<WorkingSet> for Vec<PageNo> {
    fn from(set: WorkingSet) -> Self {
        set.0
    }
}

#[derive(Default)]
struct Seen {
    touched: usize,
    pushed: usize,
    /// Its earliest place in any recording.
    rank: usize,
}

impl WorkingSet {
    /// Its pages, in order.
    pub fn pages(&self) -> &[PageNo] {
        &self.0
    }

    /// Learns from recordings, of which the first [`RECORDINGS_MAX`] count. A
    /// page is in the set if at least half of those that can tell touched it:
    /// where it was pushed, a recording cannot. If none can, the page stays, as
    /// it was found worth pushing. Pages come in the order of their earliest
    /// touch in any recording, whatever the order of the recordings.
    pub fn merge(logs: &[AccessLog]) -> Self {
        let logs = &logs[..logs.len().min(RECORDINGS_MAX)];
        let mut pages: BTreeMap<PageNo, Seen> = BTreeMap::new();
        let mut note = |page, rank, pushed: bool| {
            let seen = pages.entry(page).or_insert(Seen { rank, ..Seen::default() });
            seen.rank = seen.rank.min(rank);
            if pushed {
                seen.pushed += 1;
            } else {
                seen.touched += 1;
            }
        };
        for log in logs {
            let pushed: HashSet<_> = log.pushed.iter().collect();
            for (rank, page) in log.pushed.iter().enumerate() {
                note(*page, rank, true);
            }
            // Asked for though pushed: the kernel had dropped it.
            let touched = log.touched.iter().enumerate();
            for (rank, page) in touched.filter(|(_, page)| !pushed.contains(page)) {
                note(*page, rank, false);
            }
        }
        let mut kept: Vec<(usize, PageNo)> = pages
            .into_iter()
            .filter(|(_, seen)| 2 * seen.touched >= logs.len() - seen.pushed)
            .map(|(page, seen)| (seen.rank, page))
            .collect();
        kept.sort_unstable();
        kept.truncate(WORKING_SET_PAGES_MAX);
        Self(kept.into_iter().map(|(_, page)| page).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log(touched: &[u32], pushed: &[u32]) -> AccessLog {
        let pages = |list: &[u32]| list.iter().copied().map(PageNo).collect();
        AccessLog { touched: pages(touched), pushed: pages(pushed), cut: false }
    }

    fn merged(logs: &[AccessLog]) -> Vec<u32> {
        WorkingSet::merge(logs).pages().iter().map(|page| page.0).collect()
    }

    #[test]
    fn half_of_the_recordings_are_enough_and_less_is_not() {
        let logs = [log(&[9, 5, 1], &[]), log(&[9, 1], &[]), log(&[9, 7], &[]), log(&[9], &[])];
        assert_eq!(merged(&logs), [9, 1]);
        assert_eq!(merged(&[]), [0; 0]);
    }

    #[test]
    fn a_pushed_page_stays_unless_who_can_tell_says_otherwise() {
        assert_eq!(merged(&[log(&[4], &[8, 2]), log(&[4], &[8, 2])]), [4, 8, 2]);
        // Two recordings without a pack did not touch page 2.
        assert_eq!(merged(&[log(&[], &[8, 2]), log(&[8], &[]), log(&[8], &[])]), [8]);
        // Pushed, dropped by the kernel, asked for again: known to nobody still.
        assert_eq!(merged(&[log(&[2], &[2])]), [2]);
    }

    #[test]
    fn a_list_that_is_no_set_is_refused() {
        let bytes = |pages: Vec<u32>| postcard::to_allocvec(&pages).unwrap();
        let parse = |pages| postcard::from_bytes::<WorkingSet>(&bytes(pages));
        assert_eq!(parse(vec![3, 1]).unwrap().pages(), [PageNo(3), PageNo(1)]);
        parse(vec![3, 1, 3]).unwrap_err();
        parse((0..=WORKING_SET_PAGES_MAX as u32).collect()).unwrap_err();
    }

    proptest! {
        #[test]
        fn the_order_of_recordings_does_not_matter(
            lists in prop::collection::vec(prop::collection::vec(0u32..40, 0..30), 1..6),
            turn in 0usize..6,
        ) {
            let mut logs: Vec<_> = lists.iter().map(|pages| {
                let mut seen = HashSet::new();
                let once: Vec<_> = pages.iter().copied().filter(|p| seen.insert(*p)).collect();
                log(&once, &[])
            }).collect();
            let before = WorkingSet::merge(&logs);
            let turn = turn % logs.len();
            logs.rotate_left(turn);
            logs.swap(0, lists.len() - 1);
            prop_assert_eq!(&before, &WorkingSet::merge(&logs));
            let again: WorkingSet = Vec::from(before.clone()).try_into().unwrap();
            prop_assert_eq!(before, again, "no page twice");
        }
    }
}
