//! Which leader serves a partition now, found without a search: every warm call asks.

use crate::view::{Records, View};
use hearth_services::cluster::{LeaderRecord, partition_of};
use hearth_types::Partition;
use parking_lot::Mutex;
use std::sync::Arc;

/// The leaders that serve, by partition, as of the records that were looked at last.
pub(crate) struct Leading {
    leaders: View<LeaderRecord>,
    known: Mutex<Known>,
}

struct Known {
    of: Records<LeaderRecord>,
    serving: Vec<Option<Arc<LeaderRecord>>>,
}

impl Leading {
    pub(crate) fn new(leaders: View<LeaderRecord>, partitions: u16) -> Self {
        let of = leaders.now();
        let serving = serving(&of, usize::from(partitions));
        Self { leaders, known: Mutex::new(Known { of, serving }) }
    }

    /// All records.
    pub(crate) fn view(&self) -> &View<LeaderRecord> {
        &self.leaders
    }

    /// The leader that serves a partition, if one does.
    pub(crate) fn serving(&self, partition: Partition) -> Option<Arc<LeaderRecord>> {
        let now = self.leaders.now();
        let mut known = self.known.lock();
        if !Arc::ptr_eq(&now, &known.of) {
            known.serving = serving(&now, known.serving.len());
            known.of = now;
        }
        known.serving.get(usize::from(partition.0))?.clone()
    }
}

fn serving(records: &Records<LeaderRecord>, partitions: usize) -> Vec<Option<Arc<LeaderRecord>>> {
    let mut serving = vec![None; partitions];
    for (key, seen) in records.iter().filter(|(_, seen)| seen.record.epoch.is_some()) {
        let place =
            partition_of(key).and_then(|partition| serving.get_mut(usize::from(partition.0)));
        if let Some(place) = place {
            *place = Some(Arc::new(seen.record.clone()));
        }
    }
    serving
}
