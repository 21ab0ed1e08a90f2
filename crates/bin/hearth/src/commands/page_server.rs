//! `hearth page-server`: serves the pages of snapshots to VMMs, for the `hearth up`
//! that started it.

use anyhow::Context;
use clap::Args;
use hearth_chunk_store::{ChunkStore, Keyring, Options};
use hearth_snapshot_store::ChunkSources;
use object_store::local::LocalFileSystem;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opened chunks in memory: the packs of a few dozen functions.
const MEMORY_BYTES: u64 = 256 << 20;

/// Where it reads.
#[derive(Debug, Args)]
pub(crate) struct PageServerArgs {
    /// The object store's directory
    #[arg(long, value_name = "DIR")]
    objects: PathBuf,
    /// The keyring
    #[arg(long, value_name = "DIR")]
    keyring: PathBuf,
}

/// The arguments that start it.
pub(crate) fn args(objects: &Path, keyring: &Path) -> Vec<OsString> {
    let words: [&std::ffi::OsStr; 5] = [
        "page-server".as_ref(),
        "--objects".as_ref(),
        objects.as_ref(),
        "--keyring".as_ref(),
        keyring.as_ref(),
    ];
    words.map(ToOwned::to_owned).into()
}

/// Serves until its client is gone.
pub(crate) async fn run(args: PageServerArgs) -> anyhow::Result<()> {
    crate::up::init_logging();
    let objects = LocalFileSystem::new_with_prefix(&args.objects).context("no object store")?;
    let keyring = Keyring::local(&args.keyring).await.context("cannot open the keyring")?;
    let options = Options { memory_bytes: MEMORY_BYTES, ..Options::default() };
    let chunks = ChunkStore::new(Arc::new(objects), keyring, options)
        .context("cannot open the chunk store")?;
    Ok(hearth_page_server::serve(Arc::new(ChunkSources(chunks))).await?)
}
