//! `index.json`: which recipe gave which images. Replaced whole and atomically;
//! one that cannot be read is as good as none, for everything can be rebuilt.

use crate::digest::Digest;
use crate::store::Stored;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Changes whenever the file's shape does.
const FORMAT: u32 = 1;
const NAME: &str = "index.json";

/// What one build step made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// Hash of all that went in.
    pub(crate) key: Digest,
    /// What came out, by role.
    pub(crate) images: BTreeMap<String, Stored>,
    /// The packages and versions it was made of.
    pub(crate) packages: BTreeSet<String>,
}

/// The newest of each step.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Index {
    format: u32,
    pub(crate) steps: BTreeMap<String, Made>,
}

impl Default for Index {
    fn default() -> Self {
        Self { format: FORMAT, steps: BTreeMap::new() }
    }
}

impl Index {
    /// Reads the index of a cache directory; an empty one when there is none.
    pub(crate) fn read(cache: &Path) -> io::Result<Self> {
        let text = match fs::read(cache.join(NAME)) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(e),
        };
        let index: Self = serde_json::from_slice(&text).unwrap_or_default();
        Ok(if index.format == FORMAT { index } else { Self::default() })
    }

    /// Every image that it names.
    pub(crate) fn stored(&self) -> impl Iterator<Item = &Stored> {
        self.steps.values().flat_map(|made| made.images.values())
    }

    /// Replaces the index of a cache directory.
    pub(crate) fn write(&self, cache: &Path) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(cache)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(cache.join(NAME)).map_err(|e| e.error)?;
        File::open(cache)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digester;

    #[test]
    fn what_is_written_is_read_and_rubbish_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Index::read(dir.path()).unwrap().steps.is_empty());
        let made = Made {
            key: Digester::new("k").finish(),
            images: BTreeMap::new(),
            packages: ["libc6_2".to_owned()].into(),
        };
        let mut index = Index::default();
        index.steps.insert("os".into(), made.clone());
        index.write(dir.path()).unwrap();
        assert_eq!(Index::read(dir.path()).unwrap().steps["os"], made);
        fs::write(dir.path().join(NAME), "{\"format\":").unwrap();
        assert!(Index::read(dir.path()).unwrap().steps.is_empty());
    }
}
