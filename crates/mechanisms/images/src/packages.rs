//! Debian packages by way of apt, with a state directory of our own: nothing
//! on the host is changed, no root is needed, and apt itself checks signatures
//! and hashes.

use crate::command::{self, ToolError, run};
use crate::sources::{KEYRINGS, Mirrors};
use crate::tools::{APT_GET, DPKG_DEB};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why packages could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// The machine's apt configuration names no Debian archive.
    #[error("no Debian archive in /etc/apt: images are made of Debian packages")]
    NoMirror,
    /// The keys that sign Debian's archives are not installed.
    #[error("the Debian archive keys are missing: apt-get install debian-archive-keyring")]
    NoKeyring,
    /// Reading or writing our own state failed.
    #[error("cannot use {path}")]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// apt or dpkg failed.
    #[error("packages could not be fetched; is the mirror reachable?")]
    Tool(#[from] ToolError),
    /// apt resolved the request to something without the package in it.
    #[error("the archive has no package {0}")]
    Missing(String),
}

/// One package file, as apt resolved it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// `NAME_VERSION_ARCH.deb`, as apt stores it.
    pub(crate) file_name: String,
    bytes: u64,
}

/// A private apt: its lists and the package files it has fetched.
pub(crate) struct Packages {
    directory: PathBuf,
    updated: Cell<bool>,
}

impl Packages {
    /// Keeps everything under `directory`. Does nothing else yet.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, updated: Cell::new(false) }
    }

    /// `names` and all that they depend on, by name.
    pub(crate) fn resolve(&self, names: &[&str]) -> Result<Vec<Package>, PackagesError> {
        self.update()?;
        let mut apt = self.apt()?;
        apt.args(["install", "--assume-yes", "--print-uris"]).args(names);
        let listing = run(&mut apt)?;
        let mut packages = parse_uris(&String::from_utf8_lossy(&listing));
        packages.sort();
        match names.iter().find(|n| !packages.iter().any(|p| p.name == **n)) {
            Some(name) => Err(PackagesError::Missing((*name).to_owned())),
            None => Ok(packages),
        }
    }

    /// Fetches the package files and returns where they are, in order.
    pub(crate) fn fetch(&self, packages: &[Package]) -> Result<Vec<PathBuf>, PackagesError> {
        let files = self.directory.join("files");
        let has =
            |p: &Package| fs::metadata(files.join(&p.file_name)).is_ok_and(|m| m.len() == p.bytes);
        let absent: Vec<&str> =
            packages.iter().filter(|p| !has(p)).map(|p| p.name.as_str()).collect();
        if !absent.is_empty() {
            let mut apt = self.apt()?;
            apt.current_dir(&files).arg("download").args(&absent);
            run(&mut apt)?;
        }
        match packages.iter().find(|p| !has(p)) {
            Some(package) => Err(PackagesError::Missing(package.name.clone())),
            None => Ok(packages.iter().map(|p| files.join(&p.file_name)).collect()),
        }
    }

    /// Fetches and unpacks the packages into `tree`.
    pub(crate) fn unpack(&self, packages: &[Package], tree: &Path) -> Result<(), PackagesError> {
        for file in self.fetch(packages)? {
            let mut dpkg = command::of(DPKG_DEB)?;
            run(dpkg.arg("--extract").arg(file).arg(tree))?;
        }
        Ok(())
    }

    /// Fetches the archive's lists, once.
    fn update(&self) -> Result<(), PackagesError> {
        if self.updated.get() {
            return Ok(());
        }
        let apt_dir = Path::new("/etc/apt");
        let mirrors = Mirrors::read(apt_dir)
            .map_err(|source| PackagesError::Io { path: apt_dir.to_owned(), source })?
            .ok_or(PackagesError::NoMirror)?;
        let keyring = KEYRINGS.into_iter().find(|k| Path::new(k).is_file());
        let list = mirrors.sources_list(keyring.ok_or(PackagesError::NoKeyring)?);
        for part in ["lists/partial", "archives/partial", "files"] {
            let path = self.directory.join(part);
            fs::create_dir_all(&path).map_err(|source| PackagesError::Io { path, source })?;
        }
        for (name, text) in [("sources.list", list.as_str()), ("status", "")] {
            let path = self.directory.join(name);
            fs::write(&path, text).map_err(|source| PackagesError::Io { path, source })?;
        }
        // `Error-Mode=any`: an archive that cannot be reached is an error, not a
        // warning followed by an old list.
        let mut apt = self.apt()?;
        run(apt.args(["-o", "APT::Update::Error-Mode=any", "update"]))?;
        self.updated.set(true);
        Ok(())
    }

    /// An `apt-get` that knows our state, the host's proxies and nothing else.
    fn apt(&self) -> Result<Command, PackagesError> {
        let at = |name: &str| self.directory.join(name).display().to_string();
        let mut apt = command::of(APT_GET)?;
        for option in [
            format!("Dir::State={}", at("")),
            format!("Dir::State::lists={}", at("lists")),
            format!("Dir::State::status={}", at("status")),
            format!("Dir::Cache={}", at("")),
            format!("Dir::Cache::archives={}", at("archives")),
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=/dev/null".into(),
            "Dir::Etc::preferences=/dev/null".into(),
            "Dir::Etc::preferencesparts=/dev/null".into(),
            "APT::Architecture=amd64".into(),
            "APT::Architectures::=amd64".into(),
            "APT::Install-Recommends=false".into(),
            "APT::Sandbox::User=root".into(),
            "APT::Default-Release=".into(),
            "Acquire::Languages=none".into(),
            "Acquire::ForceHash=SHA256".into(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
            "Debug::NoLocking=true".into(),
        ] {
            apt.args(["-o", &option]);
        }
        apt.arg("--quiet=2");
        Ok(apt)
    }
}

/// Parses `'URI' FILE BYTES HASH` lines.
fn parse_uris(listing: &str) -> Vec<Package> {
    let parse = |line: &str| {
        let mut words = line.strip_prefix('\'')?.split_whitespace().skip(1);
        let file_name = words.next()?.to_owned();
        let bytes = words.next()?.parse().ok()?;
        let name = file_name.split('_').next()?.to_owned();
        Some(Package { name, file_name, bytes })
    };
    listing.lines().filter_map(parse).collect()
}

/// Names and versions, for a layer's record.
pub(crate) fn versions(packages: &[Package]) -> BTreeSet<String> {
    packages.iter().map(|p| p.file_name.trim_end_matches(".deb").to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_listings_are_parsed() {
        let listing = "Reading package lists...\n\
            'http://m.example/pool/libc6_2.41-12_amd64.deb' libc6_2.41-12_amd64.deb 2850108 SHA256:00\n\
            'http://m.example/pool/x.deb' libacl1_1%3a2.5_amd64.deb 7 SHA256:11\n";
        let packages = parse_uris(listing);
        assert_eq!(packages.len(), 2);
        assert_eq!(packages[1].name, "libacl1");
        assert_eq!(packages[1].bytes, 7);
        assert!(versions(&packages).contains("libc6_2.41-12_amd64"));
    }
}
