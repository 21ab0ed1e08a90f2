//! Where a partition's journal lies in the metadata store.

use crate::Seq;
use hearth_types::Partition;

/// Keys of a partition.
pub(crate) trait Keys: Copy {
    /// Who may write.
    fn epoch(self) -> String;
    /// What all entries' keys begin with.
    fn entries(self) -> String;
    fn entry(self, seq: Seq) -> String;
    /// Which entry has that key.
    fn seq(self, key: &str) -> Option<Seq>;
    /// Which state stands for the entries that are gone.
    fn checkpoint(self) -> String;
    /// What the keys of all parts of all states begin with.
    fn states(self) -> String;
    /// What the keys of the parts of a state begin with. `mark` is another for each that is
    /// written, so that nothing which settles late can change one.
    fn state(self, upto: Seq, mark: u128) -> String;
    fn part(self, upto: Seq, mark: u128, part: u32) -> String;
}

impl Keys for Partition {
    fn epoch(self) -> String {
        format!("journal/{self}/epoch")
    }

    fn entries(self) -> String {
        format!("journal/{self}/entry/")
    }

    fn entry(self, seq: Seq) -> String {
        format!("{}{seq:020}", self.entries())
    }

    fn seq(self, key: &str) -> Option<Seq> {
        key.strip_prefix(&self.entries())?.parse().ok()
    }

    fn checkpoint(self) -> String {
        format!("journal/{self}/checkpoint")
    }

    fn states(self) -> String {
        format!("journal/{self}/state/")
    }

    fn state(self, upto: Seq, mark: u128) -> String {
        format!("{}{upto:020}-{mark:032x}/", self.states())
    }

    fn part(self, upto: Seq, mark: u128, part: u32) -> String {
        format!("{}{part:05}", self.state(upto, mark))
    }
}
