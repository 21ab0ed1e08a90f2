//! `hearth cluster init`: a cluster's certificate authority and master key.

use crate::output::{self, Output};
use anyhow::{Context, bail, ensure};
use hearth_chunk_store::{LocalMasterKey, MASTER_KEY_FILE};
use hearth_rpc::IdentityFiles;
use hearth_rpc::pki::Ca;
use serde_json::json;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The mode of directories with keys in them: their owner's.
pub(super) const SECRET_DIR_MODE: u32 = 0o700;
/// Permission bits of others.
const OTHERS: u32 = 0o077;

/// Arguments of `hearth cluster init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Who has ca.key can make nodes, and who has master.key can read all that the cluster keeps, so the
directory is its owner's alone and belongs on no node. Keep a copy: without master.key, code and
snapshots are lost; without ca.key, no node can be added and no certificate renewed.")]
pub(crate) struct InitArgs {
    /// Where to make them; made if missing. What is there is not overwritten
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Makes them, and says what comes next.
pub(crate) async fn run(args: InitArgs, output: Output) -> anyhow::Result<()> {
    init(&args.dir).await?;
    let dir = args.dir.display();
    match output {
        Output::Json => output::json(&json!({
            "dir": args.dir, "ca": IdentityFiles::in_dir(&args.dir).ca,
            "masterKey": args.dir.join(MASTER_KEY_FILE),
        })),
        Output::Table => output::text(&format!(
            "made a certificate authority and a master key in {dir}\n\
             - keep a copy of them in a safe place: neither can be made again\n\
             - for each node: hearth cluster issue NAME --dir {dir} --to NAME\n\
             - for the load balancer: hearth cluster balancer-config NAME=ADDR:PORT...\n"
        )),
    }
}

async fn init(dir: &Path) -> anyhow::Result<()> {
    let master_key = dir.join(MASTER_KEY_FILE);
    ensure!(
        !master_key.exists(),
        "there is a master key {} already, which is not overwritten: what the cluster keeps is \
         sealed with it. To start a new cluster, choose another directory",
        master_key.display()
    );
    prepare(dir)?;
    // It refuses what is there of another one, before the rest is made.
    Ca::create(dir).with_context(|| format!("cannot set up a cluster in {}", dir.display()))?;
    LocalMasterKey::create(&master_key).await.context("cannot make the master key")?;
    Ok(())
}

/// Makes the directory, or makes sure that nobody else looks into the one that is there.
/// That one's mode is not ours to change: it may be anything.
fn prepare(dir: &Path) -> anyhow::Result<()> {
    match DirBuilder::new().mode(SECRET_DIR_MODE).create(dir) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("cannot make {}", dir.display())),
    }
    let found = std::fs::metadata(dir).with_context(|| format!("cannot use {}", dir.display()))?;
    if !found.is_dir() {
        bail!("{} is no directory", dir.display());
    }
    if found.permissions().mode() & OTHERS != 0 {
        bail!(
            "others may look into {}: choose a new directory, or chmod 0700 this one",
            dir.display()
        );
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    /// A cluster that was set up, in a directory within this one.
    pub(in super::super) async fn made_in(parent: &Path) -> PathBuf {
        let dir = parent.join("cluster");
        init(&dir).await.unwrap();
        dir
    }

    /// Permission bits of a file or directory.
    pub(in super::super) fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn keys_are_their_owners_alone_and_never_overwritten() {
        let parent = tempfile::tempdir().unwrap();
        let dir = made_in(parent.path()).await;
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&dir.join("ca.key")), 0o600);
        assert_eq!(mode(&dir.join(MASTER_KEY_FILE)), 0o600);

        let files = ["ca.crt", "ca.key", MASTER_KEY_FILE].map(|name| dir.join(name));
        let before = files.each_ref().map(|file| fs::read(file).unwrap());
        // Whole, and with each of its files alone.
        let error = format!("{:#}", init(&dir).await.unwrap_err());
        assert!(error.contains("not overwritten"), "{error}");
        for (at, file) in files.iter().enumerate() {
            let others = files.iter().filter(|other| *other != file);
            others.clone().for_each(|other| fs::remove_file(other).unwrap());
            let error = format!("{:#}", init(&dir).await.unwrap_err());
            assert!(error.contains("not overwritten"), "{file:?}: {error}");
            assert!(others.clone().all(|other| !other.exists()), "{file:?}");
            assert_eq!(fs::read(file).unwrap(), before[at]);
            files.iter().zip(&before).for_each(|(file, bytes)| fs::write(file, bytes).unwrap());
        }
    }

    #[tokio::test]
    async fn a_directory_that_others_see_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let error = init(dir.path()).await.unwrap_err().to_string();
        assert!(error.contains("others may look into"), "{error}");
        assert_eq!(mode(dir.path()), 0o755);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        init(dir.path()).await.unwrap();
    }
}
