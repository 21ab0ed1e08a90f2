//! Pages: their size, numbers, runs and sets.

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Size of a page: x86-64's, and the unit in which the kernel asks for files.
pub const PAGE_BYTES: u64 = 4096;
/// Largest file served: beyond any function's memory (10 GiB) or disk.
pub const FILE_BYTES_MAX: u64 = 64 << 30;

/// A page of a file, counted from its start.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct PageNo(pub u32);

impl PageNo {
    /// Where it starts in the file, in bytes.
    pub fn offset(self) -> u64 {
        u64::from(self.0) * PAGE_BYTES
    }
}

/// Pages in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageRun {
    pub(crate) first: PageNo,
    pub(crate) count: u32,
}

impl PageRun {
    pub(crate) fn one(page: PageNo) -> Self {
        Self { first: page, count: 1 }
    }

    /// The pages that hold these bytes of a file of `size` bytes; none if the
    /// bytes are beyond its end.
    pub(crate) fn holding(bytes: &Range<u64>, size: u64) -> Option<Self> {
        if bytes.is_empty() || bytes.end > size {
            return None;
        }
        let first = bytes.start / PAGE_BYTES;
        let count = bytes.end.div_ceil(PAGE_BYTES) - first;
        Some(Self { first: PageNo(first.try_into().ok()?), count: count.try_into().ok()? })
    }

    pub(crate) fn pages(self) -> impl Iterator<Item = PageNo> {
        (self.first.0..self.first.0 + self.count).map(PageNo)
    }

    pub(crate) fn bytes(self) -> Range<u64> {
        let start = self.first.offset();
        start..start + u64::from(self.count) * PAGE_BYTES
    }

    /// Adds `page` if it comes right after the last.
    pub(crate) fn extend(&mut self, page: PageNo) -> bool {
        let next = self.first.0 + self.count == page.0;
        self.count += u32::from(next);
        next
    }
}

/// A set of the pages of one file: a bit for each.
#[derive(Debug)]
pub(crate) struct PageSet(Vec<u64>);

impl PageSet {
    pub(crate) fn new(pages: u32) -> Self {
        Self(vec![0; pages.div_ceil(u64::BITS) as usize])
    }

    fn place(page: PageNo) -> (usize, u64) {
        ((page.0 / u64::BITS) as usize, 1 << (page.0 % u64::BITS))
    }

    pub(crate) fn contains(&self, page: PageNo) -> bool {
        let (word, bit) = Self::place(page);
        self.0.get(word).is_some_and(|w| w & bit != 0)
    }

    /// Adds a page; false if it was in already, or is beyond the file's end.
    pub(crate) fn insert(&mut self, page: PageNo) -> bool {
        let (word, bit) = Self::place(page);
        let Some(word) = self.0.get_mut(word) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// The first run of pages from `page` on that are in the set.
    pub(crate) fn next_run(&self, page: PageNo) -> Option<PageRun> {
        let first = self.next(page, 0)?;
        let end = self.next(first, u64::MAX).unwrap_or(PageNo(self.0.len() as u32 * u64::BITS));
        Some(PageRun { first, count: end.0 - first.0 })
    }

    /// The first page from `page` on whose bit, turned over by `flip`, is set.
    fn next(&self, page: PageNo, flip: u64) -> Option<PageNo> {
        let (start, bit) = Self::place(page);
        let mut mask = !(bit - 1);
        for (index, word) in self.0.iter().enumerate().skip(start) {
            let left = (word ^ flip) & mask;
            if left != 0 {
                return Some(PageNo(index as u32 * u64::BITS + left.trailing_zeros()));
            }
            mask = u64::MAX;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_holds_exactly_its_bytes() {
        let run = |bytes| PageRun::holding(&bytes, 10 * PAGE_BYTES).map(|r| (r.first.0, r.count));
        assert_eq!(run(0..1), Some((0, 1)));
        assert_eq!(run(4095..4097), Some((0, 2)));
        assert_eq!(run(4096..8192), Some((1, 1)));
        assert_eq!(run(5..5), None);
        assert_eq!(run(9 * 4096..10 * 4096 + 1), None, "beyond the end");
        assert_eq!(run(u64::MAX - 1..u64::MAX), None);
    }

    #[test]
    fn a_set_finds_what_was_put_in() {
        let mut set = PageSet::new(200);
        assert_eq!(set.next_run(PageNo(0)), None);
        assert!(set.insert(PageNo(63)) && set.insert(PageNo(64)) && set.insert(PageNo(199)));
        assert!(!set.insert(PageNo(64)), "twice");
        assert!(!set.insert(PageNo(1 << 20)), "beyond the end");
        assert!(!set.contains(PageNo(1 << 20)));
        let run = |from| set.next_run(PageNo(from)).map(|run| (run.first.0, run.count));
        assert_eq!(run(0), Some((63, 2)));
        assert_eq!(run(64), Some((64, 1)));
        assert_eq!(run(65), Some((199, 1)));
        assert_eq!(run(200), None);
    }
}
