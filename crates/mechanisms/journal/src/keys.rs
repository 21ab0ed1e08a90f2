//! Where a partition's journal lies in the metadata store.

use crate::Seq;
use std::fmt;

/// A part of all functions, with a journal of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub u16);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:05}", self.0)
    }
}

impl Partition {
    /// Who may write.
    pub(crate) fn epoch(self) -> String {
        format!("journal/{self}/epoch")
    }

    /// What all entries' keys begin with.
    pub(crate) fn entries(self) -> String {
        format!("journal/{self}/entry/")
    }

    pub(crate) fn entry(self, seq: Seq) -> String {
        format!("{}{seq:020}", self.entries())
    }

    /// Which entry has that key.
    pub(crate) fn seq(self, key: &str) -> Option<Seq> {
        key.strip_prefix(&self.entries())?.parse().ok()
    }

    /// Which state stands for the entries that are gone.
    pub(crate) fn checkpoint(self) -> String {
        format!("journal/{self}/checkpoint")
    }

    /// What the keys of all parts of all states begin with.
    pub(crate) fn states(self) -> String {
        format!("journal/{self}/state/")
    }

    /// What the keys of the parts of a state begin with. `mark` is another for each that is
    /// written, so that nothing which settles late can change one.
    pub(crate) fn state(self, upto: Seq, mark: u128) -> String {
        format!("{}{upto:020}-{mark:032x}/", self.states())
    }

    pub(crate) fn part(self, upto: Seq, mark: u128, part: u32) -> String {
        format!("{}{part:05}", self.state(upto, mark))
    }
}
