//! The `python3.13` layer: Debian's interpreter, AWS's runtime interface client
//! and SDK, all compiled beforehand.

use super::{LayerError, added_packages, clean, guest_program};
use crate::command::run;
use crate::packages::{Package, Packages};
use crate::progress::Progress;
use crate::recipe::PYTHON313;
use crate::tree::Tree;
use std::fs;
use std::path::Path;
use std::process::Command;

const PYTHON: &str = "usr/bin/python3.13";
/// pip of the image's release, as a wheel, and the image's interpreter to run
/// it, whatever the host has.
pub(super) const PIP_PACKAGES: [&str; 2] = ["python3.13", "python3-pip-whl"];
const PIP_WHEELS: &str = "usr/share/python-wheels";
/// Where AWS keeps the client and the SDK.
const RUNTIME: &str = "var/runtime";
const BOOTSTRAP: &str = "var/runtime/bootstrap";
/// What prepares the runtime for snapshots, and makes it unique after them.
const OURS: &str = "var/runtime/_hearth/";
const REQUIREMENTS: &str = "requirements.txt";
const BUNDLER: &str = "bundle.py";
const BUNDLE: &str = "var/runtime/startup.bundle";
/// Names under which programs look for the interpreter.
const LINKS: [(&str, &str); 5] = [
    ("usr/bin/python3", "python3.13"),
    ("usr/bin/python", "python3.13"),
    ("var/lang/bin/python3.13", "/usr/bin/python3.13"),
    ("var/lang/bin/python3", "/usr/bin/python3.13"),
    ("var/lang/bin/python", "/usr/bin/python3.13"),
];

/// Makes the tree in `tree`, with `tools` as a scratch tree for what is needed
/// only to make it.
pub(crate) fn build(
    packages: &Packages,
    tree: &Tree,
    tools: &Tree,
    progress: &dyn Progress,
) -> Result<Vec<Package>, LayerError> {
    progress.advance(0.0, "fetching packages");
    let chosen = added_packages(&PYTHON313, packages)?;
    packages.unpack(&chosen, tree.root())?;
    packages.unpack(&packages.resolve(&PIP_PACKAGES)?, tools.root())?;

    clean(&PYTHON313, tree)?;
    progress.advance(0.2, "fetching AWS's client and SDK");
    pip_install(tools, PYTHON313.text(REQUIREMENTS), &tree.path(RUNTIME))?;
    forget_installation(tree)?;
    for (name, target) in LINKS {
        tree.link(name, target)?;
    }
    for (name, contents) in PYTHON313.under(OURS) {
        tree.file(name, contents)?;
    }
    progress.advance(0.4, "compiling modules");
    compile(tree, tools)?;
    bundle(tree, tools)?;
    tree.program(BOOTSTRAP, PYTHON313.contents(BOOTSTRAP))?;
    tree.normalise(true)?;
    Ok(chosen)
}

/// The image's interpreter on this host, alike in every build.
fn python(tools: &Tree) -> Command {
    let mut python = guest_program(tools, PYTHON);
    python.env("PYTHONHOME", tools.path("usr")).env("PYTHONHASHSEED", "0");
    python.env("PYTHONDONTWRITEBYTECODE", "1").env_remove("PYTHONPATH");
    python.args(["-P", "-s"]);
    python
}

/// Installs pinned wheels into `target`; pip checks each against the hash in
/// `requirements`.
pub(super) fn pip_install(
    tools: &Tree,
    requirements: &str,
    target: &Path,
) -> Result<(), LayerError> {
    let wheels = tools.path(PIP_WHEELS);
    let fail = |source| LayerError::Read { path: wheels.clone(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(&wheels).map_err(fail)? {
        names.push(entry.map_err(fail)?.path());
    }
    let is_pip = |p: &&std::path::PathBuf| {
        p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("pip-"))
    };
    let pip = names.iter().find(is_pip).ok_or_else(|| fail(std::io::ErrorKind::NotFound.into()))?;
    tools.file(REQUIREMENTS, requirements.as_bytes())?;
    let mut command = python(tools);
    command.arg(pip.join("pip")).args([
        "install",
        "--quiet",
        "--no-compile",
        "--no-deps",
        "--no-cache-dir",
        "--only-binary=:all:",
        "--require-hashes",
        "--root-user-action=ignore",
    ]);
    command.arg("--target").arg(target);
    run(command.arg("--requirement").arg(tools.path(REQUIREMENTS)))?;
    Ok(())
}

/// Removes what only pip would read again. It differs from build to build:
/// console scripts name the builder's interpreter, and `RECORD` has their hash.
fn forget_installation(tree: &Tree) -> Result<(), LayerError> {
    tree.remove("var/runtime/bin")?;
    let directory = tree.path(RUNTIME);
    let fail = |source| LayerError::Read { path: directory.clone(), source };
    for entry in fs::read_dir(&directory).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".dist-info") {
            tree.remove(&format!("{RUNTIME}/{name}/RECORD"))?;
        }
    }
    Ok(())
}

/// Compiles every module. The code says that it needs no check against its
/// source: neither time nor content is looked at in the guest.
fn compile(tree: &Tree, tools: &Tree) -> Result<(), LayerError> {
    let mut command = python(tools);
    command.args(["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]);
    command.arg("-s").arg(tree.root()).args(["-p", "/"]);
    for directory in ["usr/lib/python3.13", RUNTIME] {
        command.arg(tree.path(directory));
    }
    run(&mut command)?;
    Ok(())
}

/// Packs the modules that every start imports into one file; the bootstrap
/// reads it.
fn bundle(tree: &Tree, tools: &Tree) -> Result<(), LayerError> {
    tools.file(BUNDLER, PYTHON313.contents(BUNDLER))?;
    let mut command = python(tools);
    command.arg(tools.path(BUNDLER)).arg(tree.root()).arg(tree.path(BUNDLE));
    run(&mut command)?;
    Ok(())
}
