//! Whose orders count: a worker that heard of an epoch obeys no earlier one, so a leader
//! that was deposed, hung or cut off can do no harm once it wakes.

use hearth_services::worker::Deposed;
use hearth_types::{Partition, Reign};
use parking_lot::Mutex;
use std::collections::HashMap;

/// The newest epoch of each partition that was heard of: at most 65,536 of them.
#[derive(Default)]
pub(crate) struct Fences(Mutex<HashMap<Partition, u64>>);

impl Fences {
    /// Lets an order through unless it is of an older epoch; nothing older follows it.
    pub(crate) fn pass(&self, reign: Reign) -> Result<(), Deposed> {
        let mut newest = self.0.lock();
        let current = newest.entry(reign.partition).or_insert(reign.epoch);
        if reign.epoch < *current {
            tracing::warn!(%reign, current, "an order of a leader that was deposed is refused");
            return Err(Deposed { ordered: reign, current: *current });
        }
        *current = reign.epoch;
        Ok(())
    }

    /// Whether nothing newer was heard of. Whoever runs an event only shows what a leader
    /// gave, and so can tell nobody that there is another.
    pub(crate) fn is_current(&self, reign: Reign) -> bool {
        self.0.lock().get(&reign.partition).is_none_or(|newest| reign.epoch >= *newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_what_was_heard_of_is_refused() {
        let fences = Fences::default();
        let of = |partition, epoch| Reign { partition: Partition(partition), epoch };
        fences.pass(of(1, 3)).unwrap();
        assert_eq!(fences.pass(of(1, 2)), Err(Deposed { ordered: of(1, 2), current: 3 }));
        fences.pass(of(1, 3)).unwrap();
        fences.pass(of(2, 1)).unwrap();
        fences.pass(of(1, 4)).unwrap();
        assert!(fences.pass(of(1, 3)).is_err());
    }
}
