//! The AWS config and credentials files: INI sections, one per profile.
//!
//! Read here rather than with the SDK's own loader, which brings a whole SDK
//! client (STS) into the build for the sake of two short files.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One variable of the environment; a parameter so that tests need no real one.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The settings of one profile, from both files together.
#[derive(Debug, Default)]
pub struct Profile {
    /// Its name.
    pub name: String,
    settings: BTreeMap<String, String>,
}

/// A file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// It is there but cannot be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] std::io::Error),
    /// A profile was asked for by name and is in neither file.
    #[error("there is no profile {0:?} in the AWS credentials and config files")]
    NoProfile(String),
}

impl Profile {
    /// Loads the profile `name`, else `AWS_PROFILE`, else `default`. A missing
    /// file is an empty one; a missing profile is an error if it was named.
    pub fn load(name: Option<&str>, env: Env<'_>) -> Result<Self, FilesError> {
        let named = name.map(str::to_owned).or_else(|| env("AWS_PROFILE"));
        let was_named = named.is_some();
        let name = named.unwrap_or_else(|| "default".to_owned());
        let home = std::env::home_dir().unwrap_or_default();
        let path = |variable: &str, usual: &str| {
            env(variable).map_or_else(|| home.join(".aws").join(usual), PathBuf::from)
        };
        let config = read(&path("AWS_CONFIG_FILE", "config"))?;
        let credentials = read(&path("AWS_SHARED_CREDENTIALS_FILE", "credentials"))?;
        // The config file writes `[profile x]` where the other writes `[x]`.
        let in_config =
            section(&config, &format!("profile {name}")).or_else(|| section(&config, &name));
        let in_credentials = section(&credentials, &name);
        if was_named && in_config.is_none() && in_credentials.is_none() {
            return Err(FilesError::NoProfile(name));
        }
        let mut settings = in_config.unwrap_or_default();
        settings.extend(in_credentials.unwrap_or_default());
        Ok(Self { name, settings })
    }

    /// The `default` profile of one credentials file.
    pub fn from_credentials_file(path: &Path) -> Result<Self, FilesError> {
        let settings = section(&read(path)?, "default").unwrap_or_default();
        Ok(Self { name: "default".to_owned(), settings })
    }

    /// A setting, if it is there and not empty.
    pub fn get(&self, key: &str) -> Option<String> {
        self.settings.get(key).filter(|v| !v.is_empty()).cloned()
    }
}

fn read(path: &Path) -> Result<String, FilesError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(e) => Err(FilesError::Read(path.to_owned(), e)),
    }
}

/// The `key = value` lines under `[name]`. Indented lines are nested settings,
/// which nothing here needs.
fn section(text: &str, name: &str) -> Option<BTreeMap<String, String>> {
    let mut found: Option<BTreeMap<String, String>> = None;
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with(['#', ';', ' ', '\t']) {
            continue;
        }
        if let Some(header) = line.trim().strip_prefix('[') {
            let header = header.split(']').next().unwrap_or_default();
            inside = header.split_whitespace().eq(name.split_whitespace());
            if inside {
                found.get_or_insert_default();
            }
        } else if let (true, Some((key, value))) = (inside, line.split_once('=')) {
            let value = value.split(" #").next().unwrap_or_default().trim();
            let key = key.trim().to_ascii_lowercase();
            found.get_or_insert_default().insert(key, value.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_comments_and_nesting() {
        let text = "# top\n[default]\nregion = local\ns3 =\n  region = nested\n\
                    [ profile  dev ]\nRegion=eu-1 # note\n[default]\naws_access_key_id=A\n";
        let default = section(text, "default").unwrap();
        assert_eq!(default["region"], "local");
        assert_eq!(default["aws_access_key_id"], "A");
        assert_eq!(section(text, "profile dev").unwrap()["region"], "eu-1");
        assert!(section(text, "prod").is_none());
    }

    #[test]
    fn the_credentials_file_wins_and_missing_names_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config");
        let credentials = dir.path().join("credentials");
        std::fs::write(&config, "[profile p]\nregion=r\naws_access_key_id=OLD\n").unwrap();
        std::fs::write(&credentials, "[p]\naws_access_key_id=NEW\n").unwrap();
        let env = |name: &str| match name {
            "AWS_CONFIG_FILE" => Some(config.display().to_string()),
            "AWS_SHARED_CREDENTIALS_FILE" => Some(credentials.display().to_string()),
            _ => None,
        };
        let profile = Profile::load(Some("p"), &env).unwrap();
        assert_eq!(profile.get("aws_access_key_id").as_deref(), Some("NEW"));
        assert_eq!(profile.get("region").as_deref(), Some("r"));
        assert!(matches!(Profile::load(Some("q"), &env), Err(FilesError::NoProfile(_))));
        assert!(Profile::load(None, &env).unwrap().get("region").is_none());
    }
}
