//! Layers that nobody uses any more: when a layer was used last, and their end.
//!
//! A function's snapshot is named by a version, and goes with it. A layer is named by
//! what its guests are made of, and nobody says when the last of them was: images are
//! built anew, machines change, functions get another size. So time decides. The date
//! of a layer's name is when it was saved, learnt about, or said to be used; keeping
//! the date there and not in the record makes noting a use one small write.

use crate::name::{LAYERS, Name};
use crate::store::{OpenError, SnapshotStore};
use futures_util::TryStreamExt;
use hearth_ambient::clock::unix_now;
use hearth_chunk_store::put_unchanged;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use std::time::Duration;

/// How long a layer stays that no start and no build used. One that is wanted again is
/// made again, in the background, while sandboxes boot: some seconds, once.
pub const LAYER_UNUSED_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

impl SnapshotStore {
    /// Notes that a snapshot was used, if there is one of that name.
    pub async fn used(&self, name: &Name) -> Result<(), OpenError> {
        // What was learnt meanwhile must not be undone.
        let _naming = self.naming.lock().await;
        let Some(found) = self.name_found(name).await? else { return Ok(()) };
        // If another process wrote it just now, its date is of now.
        let put = put_unchanged(&*self.objects, &name.path(), found.bytes, found.version).await;
        put.map(drop).map_err(OpenError::Name)
    }

    /// Takes the names of layers away that were not used for as long as this, so that
    /// their files go with a later collection. Whoever has one open keeps it.
    pub async fn remove_unused_layers(
        &self,
        unused: Duration,
    ) -> Result<Vec<Name>, object_store::Error> {
        let layers: Vec<_> = self.objects.list(Some(&Path::from(LAYERS))).try_collect().await?;
        let mut removed = vec![];
        for layer in layers.iter().filter(|layer| age(layer) >= unused) {
            if let Some(name) = Name::at(&layer.location) {
                self.remove(&name).await?;
                tracing::info!(%name, "removed a layer that was not used for long");
                removed.push(name);
            }
        }
        Ok(removed)
    }
}

fn age(object: &ObjectMeta) -> Duration {
    let written = object.last_modified.timestamp_millis().max(0) as u64;
    unix_now().saturating_sub(Duration::from_millis(written))
}
