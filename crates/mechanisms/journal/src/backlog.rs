//! What is written and no checkpoint stands for yet: whoever leads next has to read it.

use crate::Seq;
use std::collections::VecDeque;

/// Most bytes of it, but for one group.
pub const BACKLOG_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Sizes of entries, in order.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    entries: VecDeque<(Seq, usize)>,
    bytes: usize,
}

impl Backlog {
    pub(crate) fn push(&mut self, seq: Seq, bytes: usize) {
        self.entries.push_back((seq, bytes));
        self.bytes += bytes;
    }

    /// A checkpoint stands for the entries up to `upto`.
    pub(crate) fn release(&mut self, upto: Seq) {
        while let Some((_, bytes)) = self.entries.pop_front_if(|(seq, _)| *seq <= upto) {
            self.bytes -= bytes;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
