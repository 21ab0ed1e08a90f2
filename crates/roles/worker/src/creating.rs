//! Sandboxes that are being created: their partition's leader is told of them too, since a
//! new one has to know whether what its predecessor began may still come to something.

use hearth_services::worker::{Doing, HeldSandbox};
use hearth_types::{Partition, SandboxId, VersionKey};
use parking_lot::Mutex;
use std::collections::HashMap;

/// Those of one worker. Admission bounds how many.
#[derive(Default)]
pub(crate) struct Creating(Mutex<HashMap<SandboxId, (Partition, VersionKey)>>);

/// One is being created until this is dropped.
pub(crate) struct InCreation<'a>(&'a Creating, SandboxId);

impl Creating {
    pub(crate) fn begin(
        &self,
        id: SandboxId,
        partition: Partition,
        key: &VersionKey,
    ) -> InCreation<'_> {
        self.0.lock().insert(id, (partition, key.clone()));
        InCreation(self, id)
    }

    /// Those of a partition.
    pub(crate) fn of(&self, partition: Partition) -> Vec<HeldSandbox> {
        let creating = self.0.lock();
        let of_it = creating.iter().filter(|(_, (of, _))| *of == partition);
        let held = |(id, (_, key)): (&SandboxId, &(Partition, VersionKey))| HeldSandbox {
            id: *id,
            key: key.clone(),
            hold: None,
            doing: Doing::Starting,
        };
        of_it.map(held).collect()
    }
}

impl Drop for InCreation<'_> {
    fn drop(&mut self) {
        self.0.0.lock().remove(&self.1);
    }
}
