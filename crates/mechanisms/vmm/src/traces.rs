//! What an instance leaves on the host outside its data directory, written down
//! where the next start of any instance looks.
//!
//! ```text
//! /run/hearth/<id>/lock         locked while the instance lives; names its data
//! /run/hearth/<id>/cgroups      its cgroups' roots, one a line
//! /run/hearth/<id>/forwarding   interfaces on which it turned forwarding on
//! ```
//!
//! An instance that ends in order removes its directory. What is there without a
//! lock on it was killed: what it left is nobody's. Like what it left, the
//! directory is gone after a reboot.

use rustix::fs::FlockOperation;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read, Seek};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where all instances write.
const ALL: &str = "/run/hearth";
/// Rules and forwarding are a network namespace's.
const NETWORK_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// One instance's traces, locked.
#[derive(Debug)]
pub(crate) struct Traces {
    id: String,
    dir: PathBuf,
    lock: File,
}

impl Traces {
    /// Those of the instance `id`, whose data is in `data` and locked already: so
    /// if another has the lock here, it is clearing away and will soon be done.
    pub(crate) fn claim(id: &str, data: &Path) -> io::Result<Self> {
        Self::claim_in(Path::new(ALL), id, data)
    }

    fn claim_in(all: &Path, id: &str, data: &Path) -> io::Result<Self> {
        let dir = all.join(id);
        loop {
            DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
            let lock = match open(&dir.join("lock")) {
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                other => other?,
            };
            rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
            // Whoever cleared away has removed the file too.
            if lock.metadata()?.nlink() > 0 {
                let traces = Self { id: id.to_owned(), dir, lock };
                traces.name_owner(data)?;
                return Ok(traces);
            }
        }
    }

    /// Those of instances that were killed.
    pub(crate) fn of_the_dead() -> io::Result<Vec<Self>> {
        Self::of_the_dead_in(Path::new(ALL))
    }

    fn of_the_dead_in(all: &Path) -> io::Result<Vec<Self>> {
        let entries = match fs::read_dir(all) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(vec![]),
            other => other?,
        };
        let mut dead = vec![];
        for entry in entries {
            let dir = entry?.path();
            let lock = match File::open(dir.join("lock")) {
                // Not a record of ours.
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    continue;
                }
                other => other?,
            };
            match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => continue,
                other => other?,
            }
            let Some(id) = dir.file_name().and_then(|name| name.to_str()) else { continue };
            let traces = Self { id: id.to_owned(), dir: dir.clone(), lock };
            if traces.lock.metadata()?.nlink() > 0 {
                dead.push(traces);
            }
        }
        Ok(dead)
    }

    /// Names what is the instance's on the host.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Where its data is.
    pub(crate) fn data(&self) -> io::Result<PathBuf> {
        Ok(self.owner()?.1.into())
    }

    /// Whether its rules and forwarding are those of this network namespace.
    pub(crate) fn are_here(&self) -> io::Result<bool> {
        Ok(self.owner()?.0 == network_namespace()?)
    }

    /// Its cgroups' roots.
    pub(crate) fn cgroups(&self) -> Record {
        Record(self.dir.join("cgroups"))
    }

    /// Interfaces on which it turned forwarding on.
    pub(crate) fn forwarding(&self) -> Record {
        Record(self.dir.join("forwarding"))
    }

    /// Removes them: nothing is left on the host.
    pub(crate) fn forget(&self) -> io::Result<()> {
        self.cgroups().remove()?;
        self.forwarding().remove()?;
        remove(&self.dir.join("lock"))?;
        match fs::remove_dir(&self.dir) {
            // The instance starts anew at this very moment.
            Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            other => other,
        }
    }

    fn name_owner(&self, data: &Path) -> io::Result<()> {
        let text = format!("{}\n{}", network_namespace()?, data.display());
        // Written over what was there, then cut: the owner is never unknown.
        self.lock.write_all_at(text.as_bytes(), 0)?;
        self.lock.set_len(text.len() as u64)
    }

    /// Its network namespace and its data.
    fn owner(&self) -> io::Result<(String, String)> {
        let mut text = String::new();
        let mut file = &self.lock;
        file.rewind()?;
        file.read_to_string(&mut text)?;
        let (namespace, data) = text.split_once('\n').unwrap_or_default();
        Ok((namespace.to_owned(), data.to_owned()))
    }
}

/// What an instance wrote down of one kind, one a line.
pub(crate) struct Record(PathBuf);

impl Record {
    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Its lines; none if it was not written.
    pub(crate) fn lines(&self) -> io::Result<Vec<String>> {
        match fs::read_to_string(&self.0) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(vec![]),
            other => Ok(other?.lines().map(str::to_owned).collect()),
        }
    }

    /// Replaces it, before what the lines name is made. In one step: half a record
    /// would leave the other half of what it names behind.
    pub(crate) fn write(&self, lines: &[String]) -> io::Result<()> {
        fs::write(self.aside(), lines.join("\n"))?;
        fs::rename(self.aside(), &self.0)
    }

    /// Removes it, if it was written.
    pub(crate) fn remove(&self) -> io::Result<()> {
        remove(&self.aside())?;
        remove(&self.0)
    }

    fn aside(&self) -> PathBuf {
        self.0.with_extension("new")
    }
}

/// Removes a file that may be gone.
fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

fn network_namespace() -> io::Result<String> {
    Ok(fs::metadata(NETWORK_NAMESPACE)?.ino().to_string())
}

/// Data directories of instances that were killed and have left something on
/// this host. The next start of any instance clears it away.
pub fn left_behind() -> io::Result<Vec<PathBuf>> {
    let mut found = vec![];
    for dead in Traces::of_the_dead()? {
        if dead.are_here()? || !dead.cgroups().lines()?.is_empty() {
            found.push(dead.data()?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_was_killed_is_dead() {
        let all = tempfile::tempdir().unwrap();
        let claim = |id: &str| Traces::claim_in(all.path(), id, &Path::new("/data").join(id));
        let _alive = claim("alive").unwrap();
        drop(claim("killed").unwrap());
        claim("left").unwrap().forget().unwrap();
        fs::write(all.path().join("of somebody else"), "").unwrap();

        let dead = Traces::of_the_dead_in(all.path()).unwrap();
        assert_eq!(dead.iter().map(Traces::id).collect::<Vec<_>>(), ["killed"]);
        assert_eq!(dead[0].data().unwrap(), Path::new("/data/killed"));
        assert!(dead[0].are_here().unwrap());
        dead[0].forget().unwrap();
        assert!(Traces::of_the_dead_in(all.path()).unwrap().is_empty());
    }

    #[test]
    fn a_record_is_replaced_whole_and_leaves_nothing() {
        let all = tempfile::tempdir().unwrap();
        let traces = Traces::claim_in(all.path(), "id", Path::new("/data")).unwrap();
        let record = traces.forwarding();
        assert_eq!(record.lines().unwrap(), Vec::<String>::new());
        record.write(&["eth0".into()]).unwrap();
        // Whoever reads it meanwhile has either the old or the new one.
        let read_before = File::open(record.path()).unwrap();
        record.write(&["eth0".into(), "tun0".into()]).unwrap();
        assert_eq!(io::read_to_string(read_before).unwrap(), "eth0");
        assert_eq!(record.lines().unwrap(), ["eth0", "tun0"]);
        // Killed amid a write.
        fs::write(record.aside(), "eth").unwrap();
        traces.forget().unwrap();
        assert!(!traces.dir.exists());
    }

    #[test]
    fn who_starts_while_another_clears_away_starts_anew() {
        let all = tempfile::tempdir().unwrap();
        let claim = |data: &str| Traces::claim_in(all.path(), "id", Path::new(data)).unwrap();
        let clearing = claim("/one");
        let traces = std::thread::scope(|scope| {
            let starting = scope.spawn(|| claim("/two"));
            clearing.forget().unwrap();
            drop(clearing);
            starting.join().unwrap()
        });
        assert_eq!(traces.data().unwrap(), Path::new("/two"));
        assert!(traces.dir.join("lock").exists());
    }
}
