//! Captured guests.

use crate::capture::GuestMemory;
use hearth_types::SnapshotId;
use hearth_vmm::DeviceState;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Memory and state of a guest; its disks are its user's to know.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) memory: Arc<File>,
    pub(crate) state: DeviceState,
}

impl Snapshot {
    /// Its memory for one more guest.
    pub(crate) async fn copy_of_memory(&self) -> io::Result<GuestMemory> {
        GuestMemory::copy(&self.memory).await
    }
}

/// A guest whose function is initialised.
#[derive(Debug)]
pub(crate) struct FunctionSnapshot {
    pub(crate) guest: Snapshot,
    /// Its scratch disk.
    pub(crate) scratch: File,
}

impl FunctionSnapshot {
    /// Its scratch disk for one more guest.
    pub(crate) async fn copy_scratch(&self, to: &Path) -> io::Result<()> {
        crate::capture::copy_to(&self.scratch, to).await
    }
}

/// There is no such snapshot.
#[derive(Debug, thiserror::Error)]
#[error("there is no snapshot {0}")]
pub(crate) struct NoSnapshot(SnapshotId);

/// The snapshots of functions that there are.
#[derive(Default)]
pub(crate) struct FunctionSnapshots(Mutex<HashMap<SnapshotId, Arc<FunctionSnapshot>>>);

impl FunctionSnapshots {
    pub(crate) async fn open(&self, id: SnapshotId) -> Result<Arc<FunctionSnapshot>, NoSnapshot> {
        self.0.lock().get(&id).cloned().ok_or(NoSnapshot(id))
    }

    pub(crate) fn add(&self, snapshot: FunctionSnapshot) -> SnapshotId {
        let id = SnapshotId::new();
        self.0.lock().insert(id, Arc::new(snapshot));
        id
    }

    pub(crate) fn retain(&self, live: &BTreeSet<SnapshotId>) {
        self.0.lock().retain(|id, _| live.contains(id));
    }
}
