//! Giving back the space of snapshots and code that nobody needs.
//!
//! What is in use stays: a sandbox holds its function's image, and a clone the snapshot
//! that its memory is served from, as long as it lives, and so does whoever makes one.
//! A VMM that waits for a guest has nothing of a snapshot yet. The page server reads only
//! what is held here.

use crate::WorkerService;
use hearth_chunk_store::{Collected, Hold, ManifestId, Owner};
use hearth_snapshot_store::{CollectError, LAYER_UNUSED_MAX, Name, OpenError};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a snapshot is open that nobody wants, where other nodes collect.
const OPEN_UNUSED_MAX: Duration = Duration::from_secs(3600);

/// What was given back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpaceCollected {
    /// Layers that nobody had used for long: their names are gone, and their chunks
    /// follow.
    pub layers: Vec<Name>,
    /// Files that neither a snapshot nor a function needs.
    pub files: Collected,
    /// What is younger than this does not go.
    pub grace: Duration,
}

/// Space could not be given back.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// It could not be noted that a layer is in use.
    #[error("the use of the layer {0} could not be noted")]
    Used(Name, #[source] OpenError),
    /// Unused layers could not be looked for.
    #[error("layers that nobody uses could not be removed")]
    Layers(#[source] object_store::Error),
    /// Files could not be collected.
    #[error("files could not be collected")]
    Collect(#[from] CollectError),
}

impl WorkerService {
    /// From now on nothing that is in use goes with a collection, whatever becomes of
    /// it: take it before finding out what has to stay.
    pub fn hold_files(&self) -> Hold {
        self.snapshots.chunks().hold()
    }

    /// Notes at the origin which layers were used here since this was called last: all that
    /// can be, and the first error.
    pub async fn note_layers_used(&self) -> Result<(), UpkeepError> {
        let mut noted = Ok(());
        for name in self.open_snapshots.layers_used() {
            let used = self.snapshots.used(&name).await;
            noted = noted.and(used.map_err(|error| UpkeepError::Used(name, error)));
        }
        noted
    }

    /// Lets go of snapshots that nobody has wanted for an hour: what is open here no other
    /// node can collect, and to open it anew is one trip.
    pub fn close_unused_snapshots(&self) {
        self.open_snapshots.forget_unused(OPEN_UNUSED_MAX);
    }

    /// Removes layers that nobody used for a week, and then whatever neither a snapshot
    /// needs nor `code`, the files of functions. What no version names is control's to
    /// forget, before this. What is younger than `grace` stays.
    pub async fn collect(
        &self,
        code: BTreeSet<(Owner, ManifestId)>,
        grace: Duration,
    ) -> Result<SpaceCollected, UpkeepError> {
        let store = &self.snapshots;
        self.note_layers_used().await?;
        let layers = store.remove_unused_layers(LAYER_UNUSED_MAX).await;
        let layers = layers.map_err(UpkeepError::Layers)?;
        layers.iter().for_each(|name| self.open_snapshots.forget(name));
        let files = store.collect_older(code, grace).await.inspect_err(|_| {
            // Starts of what it stopped at put that back, if they have it whole.
            self.damage.note_seen();
        })?;
        Ok(SpaceCollected { layers, files, grace })
    }
}
