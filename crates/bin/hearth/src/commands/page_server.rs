//! `hearth page-server`: serves the pages of snapshots to VMMs, for the `hearth up`
//! that started it.

use crate::up::{DataDir, ObjectsPlace};
use anyhow::Context;
use clap::Args;
use hearth_chunk_store::{ChunkStore, DiskOptions, Keyring, Options};
use hearth_objects::{Endpoint, Location};
use hearth_snapshot_store::ChunkSources;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// Opened chunks in memory: the packs of a few dozen functions.
const MEMORY_BYTES: u64 = 256 << 20;

/// Sealed chunks on disk, where they come over a network: what a machine's functions
/// restore from, many times over.
const DISK_BYTES: u64 = 16 << 30;

/// Where it reads.
#[derive(Debug, Args)]
pub(crate) struct PageServerArgs {
    /// The object store's directory
    #[arg(long, value_name = "DIR", required_unless_present = "objects")]
    folder: Option<PathBuf>,
    /// The object store, if it is elsewhere
    #[arg(long, value_name = "URL", conflicts_with = "folder")]
    objects: Option<Location>,
    /// Its server
    #[arg(long, value_name = "URL")]
    objects_endpoint: Option<Endpoint>,
    /// The keyring
    #[arg(long, value_name = "DIR")]
    keyring: PathBuf,
    /// Where chunks are cached
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// The arguments that start it. Credentials are not among them: it finds them in its
/// environment, as the server does.
pub(crate) fn args(place: &ObjectsPlace, data: &DataDir) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["page-server".into()];
    words.extend(["--keyring".into(), data.keyring().into()]);
    match &place.location {
        // Its path need not be text.
        Location::Folder(dir) => words.extend(["--folder".into(), dir.into()]),
        remote @ Location::S3 { .. } => {
            words.extend(["--objects".into(), remote.to_string().into()]);
            words.extend(["--cache".into(), data.chunks().into()]);
        }
    }
    if let Some(endpoint) = &place.endpoint {
        words.extend(["--objects-endpoint".into(), endpoint.as_str().into()]);
    }
    words
}

/// Serves until its client is gone.
pub(crate) async fn run(args: PageServerArgs) -> anyhow::Result<()> {
    crate::up::init_logging();
    let location = args.folder.map(Location::Folder).or(args.objects).context("no objects")?;
    let place = ObjectsPlace::to_read(location, args.objects_endpoint);
    let keyring = Keyring::local(&args.keyring).await.context("cannot open the keyring")?;
    let disk = args.cache.map(|dir| DiskOptions { dir, bytes: DISK_BYTES });
    let options = Options { memory_bytes: MEMORY_BYTES, disk, ..Options::default() };
    let chunks = ChunkStore::new(place.open_reader()?, keyring, options)
        .context("cannot open the chunk store")?;
    Ok(hearth_page_server::serve(Arc::new(ChunkSources(chunks))).await?)
}
