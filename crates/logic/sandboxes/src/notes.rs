//! What the table remembers of events until its keeper asks: that they began and ended. The
//! warm path only writes it down; what is learnt of it is learnt elsewhere.

use crate::table::Table;
use hearth_types::VersionKey;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks of the keeper, a second apart: begins and ends of half of what a leader
/// can serve. Of more than that it is not learnt; what runs then is counted instead.
pub(crate) const NOTES_MAX: usize = 65_536;

/// What happened since a keeper asked last.
#[derive(Debug, Default)]
pub struct News {
    pub(crate) notes: Vec<Note>,
    /// How many events of each version run, where notes are missing.
    pub(crate) busy: Option<HashMap<Arc<VersionKey>, usize>>,
    pub(crate) at: Duration,
}

/// An event of a version began or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) key: Arc<VersionKey>,
    pub(crate) at: Duration,
    pub(crate) began: bool,
}

#[derive(Default)]
pub(crate) struct Notes {
    notes: Vec<Note>,
    /// Whether there were too many.
    missed: bool,
    /// The latest moment that was told.
    now: Duration,
}

impl Notes {
    pub(crate) fn at(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    pub(crate) fn add(&mut self, key: &Arc<VersionKey>, began: bool) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(Note { key: Arc::clone(key), at: self.now, began });
        } else {
            self.missed = true;
        }
    }
}

impl Table {
    /// What happened since this was asked last.
    pub fn news(&mut self) -> News {
        let missed = std::mem::take(&mut self.notes.missed);
        let notes = std::mem::take(&mut self.notes.notes);
        News { notes, busy: missed.then(|| self.busy()), at: self.notes.now }
    }
}
