//! Which Debian mirrors this machine uses, read from its own apt configuration
//! (one-line `.list` and deb822 `.sources`), so that images come from where the
//! machine's packages come from and no registry is named in the program.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The Debian release that guests are made of.
pub(crate) const SUITE: &str = "trixie";
/// Where Debian installs the keys that sign its archives.
pub(crate) const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];

/// Base addresses of the archives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mirrors {
    /// Of `debian`.
    pub(crate) archive: String,
    /// Of `debian-security`, where the machine has one.
    pub(crate) security: Option<String>,
}

impl Mirrors {
    /// Reads `/etc/apt` or another directory of the same layout. `None` when
    /// it names no Debian archive.
    pub(crate) fn read(apt_dir: &Path) -> std::io::Result<Option<Self>> {
        let mut uris = Vec::new();
        for path in source_files(apt_dir)? {
            let text = fs::read_to_string(&path)?;
            if path.extension().is_some_and(|e| e == "sources") {
                uris.extend(uris_of_deb822(&text));
            } else {
                uris.extend(uris_of_list(&text));
            }
        }
        let find = |name: &str| uris.iter().find(|u| is_archive(u, name)).cloned();
        Ok(find("debian").map(|archive| Self { archive, security: find("debian-security") }))
    }

    /// A `sources.list` for guests, checked against `keyring`.
    pub(crate) fn sources_list(&self, keyring: &str) -> String {
        let line =
            |uri: &str, suite: String| format!("deb [signed-by={keyring}] {uri} {suite} main\n");
        let mut list = line(&self.archive, SUITE.into());
        list += &line(&self.archive, format!("{SUITE}-updates"));
        if let Some(security) = &self.security {
            list += &line(security, format!("{SUITE}-security"));
        }
        list
    }
}

/// Source files in the order in which apt reads them.
fn source_files(apt_dir: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    let main = apt_dir.join("sources.list");
    if main.is_file() {
        files.push(main);
    }
    let parts = apt_dir.join("sources.list.d");
    if parts.is_dir() {
        let mut found = Vec::new();
        for entry in fs::read_dir(parts)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "list" || e == "sources") {
                found.push(path);
            }
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

/// Whether the path of `uri` has a segment `name`: mirrors keep Debian's own
/// directory names, also those that pin a date below them.
fn is_archive(uri: &str, name: &str) -> bool {
    let path = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    path.split('/').skip(1).any(|segment| segment == name)
}

fn uris_of_list(text: &str) -> Vec<String> {
    let mut uris = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(rest) = line.strip_prefix("deb ") else { continue };
        let rest = rest.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']').map_or("", |(_, after)| after),
            None => rest,
        };
        uris.extend(rest.split_whitespace().next().map(str::to_owned));
    }
    uris
}

fn uris_of_deb822(text: &str) -> Vec<String> {
    let mut uris = Vec::new();
    let mut stanza: BTreeMap<String, String> = BTreeMap::new();
    let mut field = String::new();
    for line in text.lines().chain(std::iter::once("")) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            uris.extend(uris_of_stanza(&std::mem::take(&mut stanza)));
        } else if line.starts_with([' ', '\t']) {
            let value = stanza.entry(field.clone()).or_default();
            value.push(' ');
            value.push_str(line.trim());
        } else if let Some((name, value)) = line.split_once(':') {
            field = name.to_ascii_lowercase();
            stanza.insert(field.clone(), value.trim().to_owned());
        }
    }
    uris
}

fn uris_of_stanza(stanza: &BTreeMap<String, String>) -> Vec<String> {
    let words = |field| stanza.get(field).map_or("", String::as_str).split_whitespace();
    let disabled = words("enabled").any(|w| w.eq_ignore_ascii_case("no"));
    if disabled || !words("types").any(|w| w == "deb") {
        return Vec::new();
    }
    words("uris").map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Option<Mirrors> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sources.list.d")).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Mirrors::read(dir.path()).unwrap()
    }

    #[test]
    fn one_line_style_with_options_and_foreign_entries() {
        let found = read(&[(
            "sources.list",
            "# deb http://old.example/debian buster main\n\
             deb-src http://src.example/debian bookworm main\n\
             deb [arch=amd64 signed-by=/k] https://packages.example/apt stable main\n\
             deb [arch=amd64] http://mirror.example/debian bookworm main # comment\n\
             deb http://mirror.example/debian-security bookworm-security main\n",
        )])
        .unwrap();
        assert_eq!(found.archive, "http://mirror.example/debian");
        assert_eq!(found.security.as_deref(), Some("http://mirror.example/debian-security"));
    }

    #[test]
    fn deb822_style_with_continuation_and_disabled_stanzas() {
        let found = read(&[(
            "sources.list.d/debian.sources",
            "Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: trixie\n\n\
             Types: deb deb-src\n# a comment\nURIs:\n http://on.example/debian/\nSuites: trixie\n",
        )])
        .unwrap();
        assert_eq!(found.archive, "http://on.example/debian/");
        assert_eq!(found.security, None);
        assert_eq!(found.sources_list("/k").lines().count(), 2);
    }

    #[test]
    fn a_dated_mirror_is_recognised_and_a_foreign_one_is_not() {
        let dated = "deb http://snapshot.example/archive/debian/20250520T000000Z bookworm main\n";
        assert!(read(&[("sources.list", dated)]).is_some());
        let foreign = "deb http://debian.example/ubuntu noble main\n";
        assert_eq!(read(&[("sources.list.d/x.list", foreign)]), None);
    }
}
