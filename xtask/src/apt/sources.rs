//! Reads apt's own configuration, both its forms, so that a further suite can
//! be had from the mirror this machine already uses, checked with the same key.
//!
//! ```text
//! sources.list, *.list    deb [signed-by=KEYRING] URI SUITE COMPONENT…
//! *.sources (deb822)      Types: / URIs: / Suites: / Components: / Signed-By:
//! ```

use anyhow::Context;
use std::path::Path;

/// One place that binary packages come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) uris: Vec<String>,
    pub(super) suites: Vec<String>,
    pub(super) components: Vec<String>,
    /// A keyring's path, or an inline key; empty for apt's default keys.
    pub(super) signed_by: String,
}

impl Source {
    /// The same place, for one other suite.
    pub(super) fn with_suite(&self, suite: &str) -> Self {
        Self { suites: vec![suite.to_owned()], ..self.clone() }
    }

    /// As a `.sources` file.
    pub(super) fn to_deb822(&self) -> String {
        let mut text = format!(
            "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\n",
            self.uris.join(" "),
            self.suites.join(" "),
            self.components.join(" "),
        );
        if !self.signed_by.is_empty() {
            text += &format!("Signed-By: {}\n", self.signed_by);
        }
        text
    }
}

/// All enabled sources of binary packages in `/etc/apt` (or a copy of it).
pub(super) fn read(apt_dir: &Path) -> anyhow::Result<Vec<Source>> {
    let mut files = vec![apt_dir.join("sources.list")];
    if let Ok(parts) = std::fs::read_dir(apt_dir.join("sources.list.d")) {
        let mut parts = parts.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
        parts.sort();
        files.extend(parts);
    }
    let mut sources = Vec::new();
    for file in files {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            // Debian 12 and later may have no sources.list at all.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e).with_context(|| file.display().to_string()),
        };
        match file.extension().and_then(|e| e.to_str()) {
            Some("sources") => sources.extend(parse_deb822(&text)),
            Some("list") => sources.extend(text.lines().filter_map(parse_line)),
            // apt ignores other files (.save, .dpkg-dist), and so do we.
            _ => {}
        }
    }
    Ok(sources)
}

/// One line of the older form.
fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.starts_with([' ', '\t']).then(|| rest.trim_start())?;
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options.split_whitespace().find_map(|o| o.strip_prefix("signed-by="));
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by: signed_by.unwrap_or_default().to_owned(),
    })
}

/// The stanzas of the newer form.
fn parse_deb822(text: &str) -> Vec<Source> {
    let text: String = text
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| format!("{}\n", l.trim_end()))
        .collect();
    text.split("\n\n").filter_map(parse_stanza).collect()
}

fn parse_stanza(stanza: &str) -> Option<Source> {
    let field = |name: &str| -> String {
        let mut inside = false;
        let mut lines = Vec::new();
        for line in stanza.lines() {
            if line.starts_with([' ', '\t']) {
                // A continuation; kept as it is, for keys written inline.
                lines.extend(inside.then_some(line));
            } else if let Some((key, value)) = line.split_once(':') {
                inside = key.eq_ignore_ascii_case(name);
                lines.extend(inside.then_some(value.trim()));
            }
        }
        lines.join("\n").trim().to_owned()
    };
    let words = |name: &str| field(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let enabled = !["no", "false", "0"].contains(&field("Enabled").to_ascii_lowercase().as_str());
    let source = Source {
        uris: words("URIs"),
        suites: words("Suites"),
        components: words("Components"),
        signed_by: field("Signed-By"),
    };
    let usable = enabled && words("Types").iter().any(|t| t == "deb") && !source.uris.is_empty();
    usable.then_some(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Debian 12's container images write it.
    const DEBIAN_12: &str = "\
Types: deb
# a snapshot is named here
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
";

    /// As Debian 13's installer writes it, with a source stanza that is off.
    const DEBIAN_13: &str = "\
Types: deb deb-src
URIs: https://mirror.example/debian/
Suites: trixie trixie-updates trixie-backports
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp

Enabled: no
Types: deb
URIs: https://off.example/debian/
Suites: trixie
Components: main
";

    /// As Debian 12's installer writes it.
    const ONE_LINE: &str = "\
# deb cdrom:[Debian GNU/Linux 12]/ bookworm main
deb http://mirror.example/debian/ bookworm main non-free-firmware
deb-src http://mirror.example/debian/ bookworm main
deb [arch=amd64 signed-by=/k.gpg] https://third.example/apt stable main # a note
";

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn backports_come_from_the_releases_own_mirror() {
        let sources = parse_deb822(DEBIAN_12);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].suites, words("bookworm bookworm-updates"));
        assert_eq!(
            sources[0].with_suite("bookworm-backports").to_deb822(),
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\n\
             Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        );
    }

    #[test]
    fn stanzas_that_are_off_do_not_count() {
        let sources = parse_deb822(DEBIAN_13);
        assert_eq!(sources.len(), 1);
        assert!(sources[0].suites.contains(&"trixie-backports".to_owned()));
    }

    #[test]
    fn the_one_line_form_with_and_without_options() {
        let sources: Vec<_> = ONE_LINE.lines().filter_map(parse_line).collect();
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].components, words("main non-free-firmware"));
        assert_eq!(sources[0].signed_by, "");
        assert!(!sources[0].with_suite("x").to_deb822().contains("Signed-By"));
        assert_eq!(sources[1].signed_by, "/k.gpg");
        assert_eq!(sources[1].uris, ["https://third.example/apt"]);
    }

    #[test]
    fn inline_keys_and_continued_fields_survive() {
        let text = "Types: deb\nURIs:\n http://a\n http://b\nSuites: s\nComponents: main\n\
                    Signed-By:\n -----BEGIN-----\n .\n abc\n";
        let source = &parse_deb822(text)[0];
        assert_eq!(source.uris, words("http://a http://b"));
        assert_eq!(source.signed_by, "-----BEGIN-----\n .\n abc");
        assert_eq!(parse_deb822(&source.to_deb822())[0], *source);
    }

    #[test]
    fn a_whole_directory_is_read_and_strays_are_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let parts = dir.path().join("sources.list.d");
        std::fs::create_dir(&parts).unwrap();
        std::fs::write(parts.join("debian.sources"), DEBIAN_12).unwrap();
        std::fs::write(parts.join("other.list"), ONE_LINE).unwrap();
        std::fs::write(parts.join("old.list.save"), ONE_LINE).unwrap();
        assert_eq!(read(dir.path()).unwrap().len(), 4);
        assert_eq!(read(&dir.path().join("none")).unwrap(), []);
    }
}
