//! `index-2.json`: which recipe gave which images. Replaced whole and atomically;
//! one that cannot be read is as good as none, for everything can be rebuilt.
//!
//! Entries are found by recipe key, so programs of different versions, each with
//! recipes and an agent of its own, share a cache without undoing each other's work.

use crate::digest::Digest;
use crate::store::Stored;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

/// The number is the format's: a program that knows another one has a file of
/// its own.
const NAME: &str = "index-2.json";
/// Entries of one step that are kept, those used last: enough for a few programs,
/// and for the agents of a day's work on one.
const KEPT_PER_STEP: usize = 8;

/// What one build step made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// The step.
    pub(crate) step: String,
    /// What came out, by role.
    pub(crate) images: BTreeMap<String, Stored>,
    /// The packages and versions it was made of.
    pub(crate) packages: BTreeSet<String>,
}

/// What was made, by the hash of all that went in.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Index {
    pub(crate) made: BTreeMap<Digest, Made>,
}

impl Index {
    /// Reads the index of a cache directory; an empty one when there is none.
    pub(crate) fn read(cache: &Path) -> io::Result<Self> {
        let text = match fs::read(cache.join(NAME)) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(e),
        };
        Ok(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// What `step` has made of different things.
    pub(crate) fn of_step<'a>(&'a self, step: &'a str) -> impl Iterator<Item = &'a Made> {
        self.made.values().filter(move |made| made.step == step)
    }

    /// Forgets the entries used longest ago, of each step with too many.
    pub(crate) fn prune(&mut self, used: impl Fn(&Made) -> SystemTime) {
        let mut newest_first: Vec<_> =
            self.made.iter().map(|(key, made)| (used(made), key.clone())).collect();
        newest_first.sort_by(|a, b| b.cmp(a));
        let mut kept: BTreeMap<String, usize> = BTreeMap::new();
        for (_, key) in newest_first {
            let of_step = kept.entry(self.made[&key].step.clone()).or_default();
            *of_step += 1;
            if *of_step > KEPT_PER_STEP {
                self.made.remove(&key);
            }
        }
    }

    /// Every image that it names.
    pub(crate) fn stored(&self) -> impl Iterator<Item = &Stored> {
        self.made.values().flat_map(|made| made.images.values())
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
    use std::time::Duration;

    fn made(step: &str) -> Made {
        let packages = ["libc6_2".to_owned()].into();
        Made { step: step.to_owned(), images: BTreeMap::new(), packages }
    }

    fn key(of: &str) -> Digest {
        Digester::new(of).finish()
    }

    #[test]
    fn what_is_written_is_read_and_rubbish_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Index::read(dir.path()).unwrap().made.is_empty());
        let mut index = Index::default();
        index.made.insert(key("k"), made("os"));
        index.write(dir.path()).unwrap();
        assert_eq!(Index::read(dir.path()).unwrap().made[&key("k")], made("os"));
        fs::write(dir.path().join(NAME), "{\"made\":").unwrap();
        assert!(Index::read(dir.path()).unwrap().made.is_empty());
    }

    #[test]
    fn the_entries_used_last_are_kept_of_each_step() {
        let mut index = Index::default();
        let used = |made: &Made| {
            let age: u64 = made.packages.first().unwrap().parse().unwrap();
            SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - age)
        };
        for age in 0..2 * KEPT_PER_STEP {
            let packages = [age.to_string()].into();
            index.made.insert(key(&age.to_string()), Made { packages, ..made("initramfs") });
        }
        index.made.insert(key("os"), Made { packages: ["999".to_owned()].into(), ..made("os") });
        index.prune(used);
        assert_eq!(index.of_step("os").count(), 1);
        assert_eq!(index.of_step("initramfs").count(), KEPT_PER_STEP);
        for age in 0..KEPT_PER_STEP {
            assert!(index.made.contains_key(&key(&age.to_string())), "{age}");
        }
    }
}
