//! Snapshots at hand: opened once, and held as long as they are wanted often.

use crate::WorkerService;
use hearth_snapshot_store::{LayerName, Name, OpenError, Stored};
use hearth_types::SnapshotId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Snapshots that are held open: a record and a manifest each. The one used longest
/// ago is let go for another; what its clones hold stays held by them.
const OPEN_MAX: usize = 256;

/// A snapshot cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("there is no snapshot {0}")]
    Missing(Name),
    #[error("the snapshot {0} was taken on another kind of machine: publish the version again")]
    OtherMachine(Name),
    #[error("the snapshot {0} cannot be opened")]
    Open(Name, #[source] OpenError),
    #[error("this server takes no snapshots")]
    NoSnapshots,
}

/// One of them.
struct Open {
    stored: Arc<Stored>,
    /// When it was wanted last.
    used: Instant,
    /// It was wanted since somebody asked which were.
    is_news: bool,
}

impl Open {
    fn now(stored: Arc<Stored>) -> Self {
        Self { stored, used: Instant::now(), is_news: true }
    }
}

/// Open snapshots.
#[derive(Default)]
pub(crate) struct OpenSnapshots(Mutex<HashMap<Name, Open>>);

impl OpenSnapshots {
    fn get(&self, name: &Name) -> Option<Arc<Stored>> {
        let mut all = self.0.lock();
        let open = all.get_mut(name)?;
        *open = Open::now(Arc::clone(&open.stored));
        Some(Arc::clone(&open.stored))
    }

    /// Layers that were wanted since the last time this was asked.
    pub(crate) fn layers_used(&self) -> Vec<Name> {
        let mut all = self.0.lock();
        let layers = all.iter_mut().filter(|(name, _)| matches!(name, Name::Layer(_)));
        let news = |(name, open): (&Name, &mut Open)| {
            std::mem::take(&mut open.is_news).then(|| name.clone())
        };
        layers.filter_map(news).collect()
    }

    pub(crate) fn put(&self, stored: Arc<Stored>) {
        let mut open = self.0.lock();
        if open.len() >= OPEN_MAX && !open.contains_key(&stored.name) {
            let oldest = open.iter().min_by_key(|(_, open)| open.used);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                open.remove(&name);
            }
        }
        open.insert(stored.name.clone(), Open::now(stored));
    }

    /// Functions' snapshots that are.
    pub(crate) fn of_functions(&self) -> Vec<SnapshotId> {
        let of_function = |name: &Name| match name {
            Name::Function(_, id) => Some(*id),
            Name::Layer(_) => None,
        };
        self.0.lock().keys().filter_map(of_function).collect()
    }

    /// Whether it is open.
    pub(crate) fn holds(&self, name: &Name) -> bool {
        self.0.lock().contains_key(name)
    }

    /// Lets go of those that nobody has wanted for as long as this.
    pub(crate) fn forget_unused(&self, max: Duration) {
        self.0.lock().retain(|_, open| open.used.elapsed() < max);
    }

    pub(crate) fn forget(&self, name: &Name) {
        self.0.lock().remove(name);
    }
}

impl WorkerService {
    /// A snapshot that can be restored here.
    pub(crate) async fn snapshot(&self, name: &Name) -> Result<Arc<Stored>, SnapshotError> {
        let serving = self.serving.as_ref().ok_or(SnapshotError::NoSnapshots)?;
        if let Some(stored) = self.open_snapshots.get(name) {
            return Ok(stored);
        }
        let opened = serving.snapshots.open(name).await;
        let stored = opened.map_err(|error| SnapshotError::Open(name.clone(), error))?;
        let stored = stored.ok_or_else(|| SnapshotError::Missing(name.clone()))?;
        if stored.record.about.machine != self.driver.machine() {
            return Err(SnapshotError::OtherMachine(name.clone()));
        }
        let stored = Arc::new(stored);
        self.open_snapshots.put(Arc::clone(&stored));
        Ok(stored)
    }

    /// Uses a better record of a snapshot from now on.
    pub(crate) fn replace(&self, better: Arc<Stored>) {
        self.open_snapshots.put(better);
    }
}

/// What a function's snapshot is called.
pub(crate) fn of_function(version: &hearth_types::FunctionVersion, id: SnapshotId) -> Name {
    Name::Function(version.key.account.clone(), id)
}

/// What a layer's snapshot is called.
pub(crate) fn of_layer(name: LayerName) -> Name {
    Name::Layer(name)
}
