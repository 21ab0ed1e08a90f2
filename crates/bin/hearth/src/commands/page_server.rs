//! `hearth page-server`: serves the pages of snapshots to VMMs, for the `hearth up`
//! that started it.

use crate::up::ObjectsPlace;
use anyhow::Context;
use clap::Args;
use hearth_chunk_store::{ChunkStore, DiskOptions, Keyring, MASTER_KEY_FILE, Options};
use hearth_objects::{Endpoint, Location};
use hearth_snapshot_store::ChunkSources;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
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
    /// The keys are a cluster's, in the object store; the keyring holds its master.key
    #[arg(long)]
    shared_keys: bool,
    /// Where chunks are cached
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// Whose keys it reads with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keys<'a> {
    /// A server's, in this directory.
    Of(&'a Path),
    /// A cluster's, in the object store, under the master key in this directory.
    Shared(&'a Path),
}

/// The arguments that start it, with these keys and this directory for its cache.
/// Credentials are not among them: it finds them in its environment, as the server does.
pub(crate) fn args(place: &ObjectsPlace, keys: Keys<'_>, cache: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["page-server".into(), "--keyring".into()];
    match keys {
        Keys::Of(dir) => words.push(dir.into()),
        Keys::Shared(dir) => words.extend([dir.into(), "--shared-keys".into()]),
    }
    match &place.location {
        // Its path need not be text.
        Location::Folder(dir) => words.extend(["--folder".into(), dir.into()]),
        remote @ Location::S3 { .. } => {
            words.extend(["--objects".into(), remote.to_string().into()]);
            words.extend(["--cache".into(), cache.into()]);
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
    let objects = place.open_reader()?;
    let keyring = match args.shared_keys {
        true => {
            let master_key = args.keyring.join(MASTER_KEY_FILE);
            Keyring::shared_to_read(&master_key, Arc::clone(&objects)).await
        }
        false => Keyring::local(&args.keyring).await,
    };
    let keyring = keyring.context("cannot open the keyring")?;
    let disk = args.cache.map(|dir| DiskOptions { dir, bytes: DISK_BYTES });
    let options = Options { memory_bytes: MEMORY_BYTES, disk, ..Options::default() };
    let chunks =
        ChunkStore::new(objects, keyring, options).context("cannot open the chunk store")?;
    Ok(hearth_page_server::serve(Arc::new(ChunkSources(chunks))).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    #[test]
    fn its_arguments_are_those_that_it_takes() {
        let place = |location: &str| ObjectsPlace::to_read(location.parse().unwrap(), None);
        for (place, keys, is_shared) in [
            (place("s3://bucket/prefix"), Keys::Shared(Path::new("/k")), true),
            (place("/objects"), Keys::Of(Path::new("/k")), false),
        ] {
            let words = args(&place, keys, Path::new("/cache"));
            let parsed = Cli::try_parse_from([OsString::from("hearth")].into_iter().chain(words));
            let Command::PageServer(args) = parsed.unwrap().command else { panic!("another") };
            assert_eq!((args.keyring, args.shared_keys), ("/k".into(), is_shared));
            assert_eq!((args.objects.is_some(), args.cache.is_some()), (is_shared, is_shared));
        }
    }
}
