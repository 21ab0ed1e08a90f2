//! The cgroup that holds the function's processes: limits, use, and the end.

use crate::error::{During, SetupError};
use hearth_agent_proto::Limits;
use rustix::fs::OFlags;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// When a function counts as starved: stalled for want of memory for a fifth of a
/// second. At its limit, without swap, the kernel can drop and reread the same
/// pages of program files for minutes before it says "out of memory".
const STARVED: &str = "some 200000 1000000\0";
/// Only at its limit is it the function's own doing: this many sixteenths of it.
const NEAR_LIMIT_SIXTEENTHS: u64 = 15;

/// A cgroup v2 directory.
pub(crate) struct Cgroup {
    path: PathBuf,
    directory: File,
    peak: File,
    /// It was killed because it starved.
    starved: AtomicBool,
}

impl Cgroup {
    /// Makes the group under the hierarchy's root `parent`.
    pub(crate) fn create(parent: &Path) -> Result<Self, SetupError> {
        let control = parent.join("cgroup.subtree_control");
        fs::write(&control, "+memory +pids").during(|| format!("write {}", control.display()))?;
        let path = parent.join("function");
        fs::create_dir(&path).during(|| format!("make {}", path.display()))?;
        Self::open(path)
    }

    /// Opens one that exists.
    pub(crate) fn open(path: PathBuf) -> Result<Self, SetupError> {
        let directory = File::open(&path).during(|| format!("open {}", path.display()))?;
        let peak = path.join("memory.peak");
        let peak = File::open(&peak).during(|| format!("open {}", peak.display()))?;
        Ok(Self { path, directory, peak, starved: AtomicBool::new(false) })
    }

    /// Sets the limits. All of the group dies when one of it is out of memory,
    /// as a Lambda sandbox does.
    pub(crate) fn limit(&self, limits: &Limits) -> Result<(), SetupError> {
        for (file, value) in [
            ("memory.max", limits.memory_bytes),
            ("memory.swap.max", 0),
            ("memory.oom.group", 1),
            ("pids.max", limits.processes.into()),
        ] {
            match fs::write(self.path.join(file), value.to_string()) {
                // A kernel without swap has no such file.
                Err(e) if file == "memory.swap.max" && e.kind() == std::io::ErrorKind::NotFound => {
                }
                other => other.during(|| format!("set {file} to {value}"))?,
            }
        }
        Ok(())
    }

    /// For creating a process inside.
    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Most memory held at once so far.
    pub(crate) fn memory_peak_bytes(&self) -> u64 {
        let mut text = [0; 24];
        let n = self.peak.read_at(&mut text, 0).unwrap_or(0);
        std::str::from_utf8(&text[..n]).ok().and_then(|t| t.trim_end().parse().ok()).unwrap_or(0)
    }

    /// Becomes ready, with priority, whenever the group starves.
    pub(crate) fn starvation(&self) -> Result<OwnedFd, SetupError> {
        let path = self.path.join("memory.pressure");
        let open = || -> io::Result<OwnedFd> {
            let flags = OFlags::NONBLOCK.bits() as i32;
            let mut file =
                File::options().read(true).write(true).custom_flags(flags).open(&path)?;
            file.write_all(STARVED.as_bytes())?;
            Ok(file.into())
        };
        open().during(|| format!("watch {}", path.display()))
    }

    /// Kills the group if it starves at its own limit.
    pub(crate) fn kill_if_at_limit(&self) -> Result<(), SetupError> {
        let number = |file: &str| {
            let path = self.path.join(file);
            let text = fs::read_to_string(&path).during(|| format!("read {}", path.display()))?;
            text.trim()
                .parse::<u64>()
                .map_err(io::Error::other)
                .during(|| format!("understand {}", path.display()))
        };
        if number("memory.current")? < number("memory.max")? / 16 * NEAR_LIMIT_SIXTEENTHS {
            return Ok(());
        }
        self.starved.store(true, Ordering::Relaxed);
        self.kill()
    }

    /// Whether one of the group was killed for want of memory.
    pub(crate) fn out_of_memory(&self) -> bool {
        if self.starved.load(Ordering::Relaxed) {
            return true;
        }
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        events
            .lines()
            .filter_map(|line| line.strip_prefix("oom_kill "))
            .any(|count| count.trim() != "0")
    }

    /// Kills every process of the group.
    pub(crate) fn kill(&self) -> Result<(), SetupError> {
        let file = self.path.join("cgroup.kill");
        fs::write(&file, "1").during(|| format!("write {}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("memory.peak"), "73400320\n").unwrap();
        let group = Cgroup::open(dir.path().into()).unwrap();
        assert_eq!(group.memory_peak_bytes(), 73_400_320);
        assert!(!group.out_of_memory());
        fs::write(dir.path().join("memory.events"), "low 0\noom 3\noom_kill 0\n").unwrap();
        assert!(!group.out_of_memory());
        fs::write(dir.path().join("memory.events"), "oom 3\noom_kill 2\noom_group_kill 1\n")
            .unwrap();
        assert!(group.out_of_memory());
    }
}
