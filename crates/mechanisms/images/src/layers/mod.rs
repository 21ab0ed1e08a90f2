//! How each layer's tree is made. A layer is built in a scratch directory and
//! holds, over the layer below it, only what differs.

pub(crate) mod java;
pub(crate) mod node;
pub(crate) mod os;
pub(crate) mod provided;
pub(crate) mod python;

use crate::command::{self, ToolError, run};
use crate::packages::{Package, Packages, PackagesError};
use crate::recipe::{OS, Recipe};
use crate::tools::{CP, UNSHARE};
use crate::tree::{Tree, TreeError};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a layer could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Its packages.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// Its files.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A tool of the host, or one of the layer's own programs.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A file is not the one that the recipe names.
    #[error("{0} is not what the recipe pins")]
    Altered(String),
    /// Reading what was unpacked.
    #[error("cannot read {path}")]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The packages that go into the OS layer.
pub(crate) fn os_packages(packages: &Packages) -> Result<Vec<Package>, PackagesError> {
    let mut all = packages.resolve(&OS.wanted())?;
    all.retain(|p| !OS.leaves_out(&p.name));
    Ok(all)
}

/// The packages that `recipe` adds to those of the OS layer.
pub(crate) fn added_packages(
    recipe: &Recipe,
    packages: &Packages,
) -> Result<Vec<Package>, PackagesError> {
    let below = os_packages(packages)?;
    let mut added = packages.resolve(&recipe.wanted())?;
    added.retain(|p| !recipe.leaves_out(&p.name) && !below.contains(p));
    Ok(added)
}

/// Removes what the recipe says.
fn clean(recipe: &Recipe, tree: &Tree) -> Result<(), TreeError> {
    recipe.removals().try_for_each(|name| tree.remove(name))
}

/// A command that runs a guest program out of a tree, with the tree's own
/// loader and libraries: what it does depends on the image's packages, not on
/// the host's, and it needs no chroot.
#[allow(clippy::disallowed_methods, reason = "it runs what is in the tree")]
fn guest_program(tree: &Tree, program: &str) -> Command {
    let mut command = Command::new(tree.path("usr/lib64/ld-linux-x86-64.so.2"));
    command.arg("--library-path").arg(tree.path("usr/lib/x86_64-linux-gnu"));
    command.arg(tree.path(program));
    command
}

/// Copies a file, or a directory with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<(), LayerError> {
    let fail = |source| LayerError::Read { path: from.to_owned(), source };
    fs::create_dir_all(to.parent().unwrap_or(to)).map_err(fail)?;
    let mut cp = command::of(CP)?;
    run(cp.args(["--recursive", "--preserve=mode"]).arg(from).arg(to))?;
    Ok(())
}

/// Enters a root: with a few devices and its own processes, and nothing else of
/// the host.
const ENTER: &str = "\
    for name in null urandom; do mount --bind \"/dev/$name\" \"$1/dev/$name\" || exit; done
    mount -t proc proc \"$1/proc\" && exec chroot \"$1\" /bin/sh \"/$2\"";

/// Runs a script of the tree with the tree as its root, without network.
fn run_inside(tree: &Tree, script: &str) -> Result<(), LayerError> {
    for name in ["tmp", "proc"] {
        tree.directory(name)?;
    }
    for name in ["dev/null", "dev/urandom"] {
        tree.file(name, b"")?;
    }
    let mut unshare = command::of(UNSHARE)?;
    unshare.args(["--mount", "--net", "--pid", "--fork"]);
    if !rustix::process::geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    unshare.args(["sh", "-c", ENTER, "enter"]).arg(tree.root()).arg(script);
    run(&mut unshare)?;
    Ok(())
}
