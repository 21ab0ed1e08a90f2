//! Idle sandboxes by when they were used last, at no cost worth naming on the warm path: a
//! queue into which each goes whenever it becomes idle. Where it is taken from idleness again
//! its place stays, and means nothing; now and then such places are swept.

use crate::entry::Entry;
use hearth_services::assignment::SandboxState;
use hearth_types::SandboxId;
use std::collections::{HashMap, VecDeque};

/// Places are swept when there are so many more than twice the idle ones: each sweep has
/// been paid for by as many places.
const SPARE: usize = 1024;

#[derive(Default)]
pub(crate) struct Ages {
    queue: VecDeque<(u64, SandboxId)>,
    /// The last place that was given.
    last: u64,
    idle: usize,
}

impl Ages {
    /// The place of a sandbox that becomes idle.
    pub(crate) fn push(&mut self, id: SandboxId) -> u64 {
        self.last += 1;
        self.idle += 1;
        self.queue.push_back((self.last, id));
        self.last
    }

    /// One is idle no more.
    pub(crate) fn leave(&mut self) {
        self.idle -= 1;
    }

    pub(crate) fn sweep(&mut self, sandboxes: &HashMap<SandboxId, Entry>) {
        if self.queue.len() > 2 * self.idle + SPARE {
            self.queue.retain(|place| held(place, sandboxes).is_some());
        }
    }

    /// Idle ones, the longest idle first.
    pub(crate) fn iter<'a>(
        &'a self,
        sandboxes: &'a HashMap<SandboxId, Entry>,
    ) -> impl Iterator<Item = (SandboxId, &'a Entry)> {
        self.queue.iter().filter_map(|place| held(place, sandboxes).map(|entry| (place.1, entry)))
    }
}

/// The sandbox that is idle in that place, if one is.
fn held<'a>(
    (place, id): &(u64, SandboxId),
    sandboxes: &'a HashMap<SandboxId, Entry>,
) -> Option<&'a Entry> {
    sandboxes.get(id).filter(|e| e.state == SandboxState::Idle && e.place == *place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{moment, version_of};
    use crate::{Begin, Running, Table};
    use hearth_services::assignment::Disposition;
    use hearth_types::{Reign, RevisionId, StartKind, WorkerId};

    #[test]
    fn however_often_one_is_used_its_places_are_bounded_and_it_counts_once() {
        let mut table = Table::new(Reign::ALONE, Running::new(10));
        let version = version_of("111111111111", RevisionId::new());
        for _ in 0..10 * SPARE {
            let begin = table.begin(&(&version).into(), StartKind::Warm, moment(0), SandboxId::new);
            let (id, hold) = match begin {
                Begin::Warm(id, _, hold) => (id, hold),
                Begin::Start(id, hold) => {
                    table.started(id, WorkerId::new(), moment(0));
                    (id, hold)
                }
                Begin::OverConcurrency => panic!("one runs at a time"),
            };
            table.release(id, hold, Disposition::Reusable, moment(0));
            assert!(table.ages.queue.len() <= 2 + SPARE);
            assert_eq!(table.by_age().count(), 1);
        }
    }
}
