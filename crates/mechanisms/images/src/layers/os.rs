//! The OS layer: a minimal Debian, without its package manager.

use super::{LayerError, clean, guest_program, os_packages};
use crate::command::run;
use crate::packages::{Package, Packages};
use crate::progress::Progress;
use crate::recipe::OS;
use crate::tree::Tree;
use std::fs;

const CERTIFICATES: &str = "usr/share/ca-certificates/mozilla";
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
/// Directories that the agent mounts on, and those that programs expect.
const DIRECTORIES: [&str; 10] =
    ["proc", "sys", "dev", "tmp", "run", "opt", "root", "mnt", "var/task", "var/runtime"];
/// What differs from sandbox to sandbox is written to `/run` by the agent.
const LINKS: [(&str, &str); 9] = [
    ("etc/hosts", "/run/hosts"),
    ("etc/resolv.conf", "/run/resolv.conf"),
    ("etc/machine-id", "/run/machine-id"),
    ("etc/mtab", "/proc/self/mounts"),
    ("etc/localtime", "/usr/share/zoneinfo/UTC"),
    ("usr/bin/awk", "mawk"),
    // LANG names it, as on Lambda; the encoding is what programs want of it.
    ("usr/lib/locale/en_US.utf8", "C.utf8"),
    ("var/run", "/run"),
    ("var/tmp", "/tmp"),
];

/// Makes the tree in `tree`; which packages it is made of.
pub(crate) fn build(
    packages: &Packages,
    tree: &Tree,
    progress: &dyn Progress,
) -> Result<Vec<Package>, LayerError> {
    progress.advance(0.0, "fetching packages");
    let chosen = os_packages(packages)?;
    packages.unpack(&chosen, tree.root())?;
    progress.advance(0.6, "installing certificates");
    certificates(tree)?;
    clean(&OS, tree)?;
    for (name, contents) in OS.files() {
        tree.file(name, contents)?;
    }
    for name in DIRECTORIES {
        tree.directory(name)?;
    }
    for (name, target) in LINKS {
        tree.link(name, target)?;
    }
    run(guest_program(tree, "usr/sbin/ldconfig").arg("-X").arg("-r").arg(tree.root()))?;
    tree.normalise(false)?;
    Ok(chosen)
}

/// Installs the certificates that Debian trusts: as one bundle for those who
/// load all, and by subject for OpenSSL, which then reads only what it needs.
fn certificates(tree: &Tree) -> Result<(), LayerError> {
    let directory = tree.path(CERTIFICATES);
    let fail = |source| LayerError::Read { path: directory.clone(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).map_err(fail)? {
        names.push(entry.map_err(fail)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let mut bundle = Vec::new();
    for name in names.iter().filter(|n| n.ends_with(".crt")) {
        let pem = fs::read(directory.join(name)).map_err(fail)?;
        tree.file(&format!("etc/ssl/certs/{}.pem", name.trim_end_matches(".crt")), &pem)?;
        bundle.extend_from_slice(&pem);
    }
    let mut rehash = guest_program(tree, "usr/bin/openssl");
    run(rehash.arg("rehash").arg(tree.path("etc/ssl/certs")))?;
    tree.file(BUNDLE, &bundle)?;
    for name in ["usr/bin/openssl", "usr/bin/c_rehash", "usr/share/ca-certificates"] {
        tree.remove(name)?;
    }
    Ok(())
}
