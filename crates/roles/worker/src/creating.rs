//! Sandboxes that are being created: their partition's leader is told of them too, since a
//! new one has to know whether what its predecessor began may still come to something.

use hearth_services::worker::{Doing, HeldSandbox};
use hearth_types::{Partition, SandboxId, VersionKey};
use parking_lot::Mutex;
use std::collections::HashMap;

/// Those of one worker. Admission bounds how many.
#[derive(Default)]
pub(crate) struct Creating(Mutex<HashMap<SandboxId, Entry>>);

struct Entry {
    partition: Partition,
    key: VersionKey,
    is_admitted: bool,
}

/// One is being created until this is dropped.
pub(crate) struct InCreation<'a>(&'a Creating, SandboxId);

impl Creating {
    /// Begins a creation, unless one of that id is under way.
    pub(crate) fn begin(
        &self,
        id: SandboxId,
        partition: Partition,
        key: &VersionKey,
    ) -> Option<InCreation<'_>> {
        let mut creating = self.0.lock();
        if creating.contains_key(&id) {
            return None;
        }
        creating.insert(id, Entry { partition, key: key.clone(), is_admitted: false });
        Some(InCreation(self, id))
    }

    /// Those of a partition.
    pub(crate) fn of(&self, partition: Partition) -> Vec<HeldSandbox> {
        let creating = self.0.lock();
        let of_it = creating.iter().filter(|(_, entry)| entry.partition == partition);
        let held = |(id, entry): (&SandboxId, &Entry)| HeldSandbox {
            id: *id,
            key: entry.key.clone(),
            hold: None,
            doing: Doing::Starting,
        };
        of_it.map(held).collect()
    }

    /// Those that have been admitted, and what they are of.
    pub(crate) fn admitted(&self) -> Vec<(SandboxId, VersionKey)> {
        let creating = self.0.lock();
        let admitted = creating.iter().filter(|(_, entry)| entry.is_admitted);
        admitted.map(|(id, entry)| (*id, entry.key.clone())).collect()
    }
}

impl InCreation<'_> {
    /// It has its room.
    pub(crate) fn admitted(&self) {
        if let Some(entry) = self.0.0.lock().get_mut(&self.1) {
            entry.is_admitted = true;
        }
    }
}

impl Drop for InCreation<'_> {
    fn drop(&mut self) {
        self.0.0.lock().remove(&self.1);
    }
}
