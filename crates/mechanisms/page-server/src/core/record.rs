//! What was touched: pages in the order in which they were asked for first.

use crate::page::{PageNo, PageSet};

/// Pages of one file that are recorded: 256 MiB of them. A guest that touches
/// more is not helped by having them fetched ahead.
pub(crate) const RECORD_PAGES_MAX: usize = 64 * 1024;

pub(super) struct Record {
    seen: PageSet,
    pub(super) order: Vec<PageNo>,
    pub(super) pushed: Vec<PageNo>,
    /// Pages were touched that are not in `order`, for it is full.
    pub(super) cut: bool,
}

impl Record {
    pub(super) fn new(pages: u32) -> Self {
        Self { seen: PageSet::new(pages), order: Vec::new(), pushed: Vec::new(), cut: false }
    }

    pub(super) fn touch(&mut self, page: PageNo) {
        if !self.seen.insert(page) {
            return;
        }
        if self.order.len() < RECORD_PAGES_MAX {
            self.order.push(page);
        } else {
            self.cut = true;
        }
    }
}
