//! `hearth cluster issue`: the bundle of one node.

use super::init::SECRET_DIR_MODE;
use crate::output::{self, Output};
use anyhow::{Context, bail, ensure};
use hearth_chunk_store::{LocalMasterKey, MASTER_KEY_FILE};
use hearth_rpc::IdentityFiles;
use hearth_rpc::pki::{Ca, NODE_DAYS};
use hearth_types::NodeName;
use serde_json::json;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Arguments of `hearth cluster issue`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The bundle holds ca.crt, node.crt, node.key and master.key. Copy it to the node as it is, over a
way that nobody listens to, and delete it here. The certificate is valid for a year; to renew it,
issue another bundle for the same name. Names are not recorded: give no two nodes the same.")]
pub(crate) struct IssueArgs {
    /// The node's name: 1 to 63 small letters, digits or hyphens
    #[arg(value_name = "NAME")]
    name: NodeName,
    /// Where `hearth cluster init` made the cluster's keys
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where to make the bundle; must not exist yet
    #[arg(long, value_name = "OUT")]
    to: PathBuf,
}

/// Makes the bundle, and says what comes next.
pub(crate) async fn run(args: IssueArgs, output: Output) -> anyhow::Result<()> {
    issue(&args).await?;
    let IssueArgs { name, to, .. } = &args;
    match output {
        Output::Json => output::json(&json!({ "node": name, "bundle": to, "days": NODE_DAYS })),
        Output::Table => output::text(&format!(
            "made the bundle of the node {name} in {}; its certificate is valid for {NODE_DAYS} \
             days\n- copy it to the node, over a way that nobody listens to\n- then delete it \
             here\n",
            to.display()
        )),
    }
}

async fn issue(args: &IssueArgs) -> anyhow::Result<()> {
    let IssueArgs { name, dir, to } = args;
    ensure!(
        IdentityFiles::in_dir(dir).ca.exists(),
        "there is no certificate authority in {0}: `hearth cluster init --dir {0}` makes one",
        dir.display()
    );
    // All that can be wrong with them is said before there is anything to clear away.
    let issued = Ca::load(dir)?.issue(name)?;
    let master_key = dir.join(MASTER_KEY_FILE);
    LocalMasterKey::open(&master_key).await.context("cannot use the cluster's master key")?;
    make(to)?;
    let written = async {
        issued.write(to)?;
        LocalMasterKey::copy(&master_key, &to.join(MASTER_KEY_FILE)).await?;
        anyhow::Ok(())
    };
    let written = written.await;
    if written.is_err() {
        // Half a bundle would be taken for a whole one. That it cannot be written is told.
        let _ = std::fs::remove_dir_all(to);
    }
    written.with_context(|| format!("cannot write the bundle {}", to.display()))
}

fn make(to: &Path) -> anyhow::Result<()> {
    match DirBuilder::new().mode(SECRET_DIR_MODE).create(to) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
            "{} exists already and is not overwritten: choose another place for the bundle",
            to.display()
        ),
        made => made.with_context(|| format!("cannot make {}", to.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::init::tests::{made_in, mode};
    use super::*;
    use hearth_rpc::Identity;
    use std::fs;

    fn args(dir: &Path, to: &Path) -> IssueArgs {
        IssueArgs { name: "node-1".parse().unwrap(), dir: dir.into(), to: to.into() }
    }

    #[tokio::test]
    async fn a_bundle_is_all_that_a_node_needs_and_no_more() {
        let parent = tempfile::tempdir().unwrap();
        let dir = made_in(parent.path()).await;
        let to = parent.path().join("node-1");
        issue(&args(&dir, &to)).await.unwrap();
        Identity::load(&IdentityFiles::in_dir(&to)).unwrap();
        LocalMasterKey::open(&to.join(MASTER_KEY_FILE)).await.unwrap();
        let master_keys = [&dir, &to].map(|at| fs::read(at.join(MASTER_KEY_FILE)).unwrap());
        assert_eq!(master_keys[0], master_keys[1]);
        let mut names: Vec<_> =
            fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["ca.crt", "master.key", "node.crt", "node.key"], "above all, no ca.key");
        assert_eq!(mode(&to), 0o700);
        for secret in ["master.key", "node.key"] {
            assert_eq!(mode(&to.join(secret)), 0o600);
        }
    }

    #[tokio::test]
    async fn a_bundle_that_is_there_stays() {
        let parent = tempfile::tempdir().unwrap();
        let dir = made_in(parent.path()).await;
        let to = parent.path().join("node-1");
        issue(&args(&dir, &to)).await.unwrap();
        let before = fs::read(to.join("node.key")).unwrap();
        let error = issue(&args(&dir, &to)).await.unwrap_err().to_string();
        assert!(error.contains("exists already"), "{error}");
        assert_eq!(fs::read(to.join("node.key")).unwrap(), before);
    }

    #[tokio::test]
    async fn what_is_missing_is_said_and_leaves_no_bundle() {
        let parent = tempfile::tempdir().unwrap();
        let to = parent.path().join("node-1");
        let error = issue(&args(parent.path(), &to)).await.unwrap_err().to_string();
        assert!(error.contains("hearth cluster init"), "{error}");
        let dir = made_in(parent.path()).await;
        for (missing, says) in [(MASTER_KEY_FILE, "master key"), ("ca.key", "ca.key")] {
            fs::rename(dir.join(missing), dir.join("away")).unwrap();
            let error = format!("{:#}", issue(&args(&dir, &to)).await.unwrap_err());
            assert!(error.contains(says), "{error}");
            assert!(!to.exists());
            fs::rename(dir.join("away"), dir.join(missing)).unwrap();
        }
        issue(&args(&dir, &to)).await.unwrap();
    }
}
