//! What code and snapshots are kept with: keys, chunks, and the process that serves
//! their pages.

use super::data_dir::DataDir;
use super::objects::ObjectsPlace;
use crate::commands::page_server::{self, Keys};
use anyhow::Context;
use hearth_chunk_store::{ChunkStore, Keyring, MASTER_KEY_FILE, Options};
use hearth_snapshot_store::SnapshotStore;
use hearth_worker::{PageServerOptions, PageServerWaits};
use object_store::ObjectStore;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

/// Opened chunks in this process's memory. It writes code and snapshots; their pages
/// are served by another.
const MEMORY_BYTES: u64 = 32 << 20;

/// How long what one server stores is safe from another program's collection, where there
/// is one; its own spare what is in use, however young.
pub(super) const GRACE: Duration = Duration::from_secs(3600);

/// The stores of a server.
pub(crate) struct Stores {
    /// Snapshots, and the chunks of everything.
    pub(crate) snapshots: SnapshotStore,
    /// How to serve pages of both; none where that cannot be done.
    pub(crate) page_server: Option<PageServerOptions>,
}

/// Opens them. Collections elsewhere delete nothing that is younger than `grace`.
pub(crate) async fn open(
    data: &DataDir,
    place: &ObjectsPlace,
    objects: Arc<dyn ObjectStore>,
    keys: Keys<'_>,
    grace: Duration,
) -> anyhow::Result<Stores> {
    let is_shared = matches!(keys, Keys::Shared(_));
    let keyring = match keys {
        Keys::Of(dir) => Keyring::local(dir).await,
        Keys::Shared(dir) => {
            Keyring::shared(&dir.join(MASTER_KEY_FILE), Arc::clone(&objects)).await
        }
    };
    let keyring = keyring.context("cannot open the keyring")?;
    let options = Options { memory_bytes: MEMORY_BYTES, grace, is_shared, ..Options::default() };
    let chunks = ChunkStore::new(Arc::clone(&objects), keyring, options)
        .context("cannot open the chunk store")?;
    let snapshots = SnapshotStore::new(chunks, objects);
    Ok(Stores { snapshots, page_server: page_server(data, place, keys)? })
}

fn page_server(
    data: &DataDir,
    place: &ObjectsPlace,
    keys: Keys<'_>,
) -> anyhow::Result<Option<PageServerOptions>> {
    if let Err(error) = File::options().read(true).write(true).open("/dev/fuse") {
        tracing::warn!(%error, "/dev/fuse cannot be used (modprobe fuse), so there are no \
            snapshots: every sandbox boots, from a copy of its code, and SnapStart is refused");
        return Ok(None);
    }
    Ok(Some(PageServerOptions {
        dir: data.pages(),
        program: std::env::current_exe().context("cannot find this program")?,
        args: page_server::args(place, keys, &data.chunks()),
        waits: PageServerWaits::default(),
    }))
}
