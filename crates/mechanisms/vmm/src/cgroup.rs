//! Cgroups: a subtree of ours with one group per slot, on cgroup v2 or on v1's
//! controllers.
//!
//! ```text
//! v2   <mount>/hearth-<instance>/slot-<n>
//! v1   <mount>/{memory,cpu,pids}/<our own group>/hearth-<instance>/slot-<n>
//! ```
#![allow(clippy::disallowed_methods, reason = "a blocked thread, outside of any runtime")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Controllers that limit a sandbox.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];
/// Length of a CPU quota's period, the kernel's own default.
const CPU_PERIOD_US: u64 = 100_000;
/// Weight of one whole CPU, v1 (the kernel's default for a group) and v2.
const CPU_SHARES: u64 = 1024;
const CPU_WEIGHT: u64 = 100;
/// Smallest weights the kernel takes, and v2's largest.
const CPU_SHARES_MIN: u64 = 2;
const CPU_WEIGHT_MIN: u64 = 1;
const CPU_WEIGHT_MAX: u64 = 10_000;
/// How long a killed group may take to empty.
const EMPTY_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often that is looked at; cgroup v1 has nothing to wait on.
const EMPTY_POLL: Duration = Duration::from_millis(1);

/// Why sandboxes cannot be limited on this host.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The controllers are not there.
    #[error(
        "no usable cgroup controllers: need memory, cpu and pids, mounted as cgroup v2 \
         (a systemd host has that) or as v1 under /sys/fs/cgroup"
    )]
    NoControllers,
    /// The subtree could not be made.
    #[error("cgroup {} could not be set up", path.display())]
    SetUp {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// Our subtree: the same relative path under each hierarchy.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    version: Version,
    /// One directory per controller on v1, a single one on v2.
    roots: Vec<PathBuf>,
}

impl Tree {
    /// Finds the host's hierarchies and where our subtree belongs in them;
    /// makes nothing yet.
    pub(crate) fn locate(name: &str) -> Result<Self, CgroupError> {
        let read = |path: &str| {
            fs::read_to_string(path)
                .map_err(|source| CgroupError::SetUp { path: path.into(), source })
        };
        locate_in(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?, name)
            .ok_or(CgroupError::NoControllers)
    }

    /// Where it is.
    pub(crate) fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Makes the subtree.
    pub(crate) fn create(&self) -> Result<(), CgroupError> {
        for root in &self.roots {
            let failed = |path: &Path| {
                let path = path.to_owned();
                move |source| CgroupError::SetUp { path, source }
            };
            if self.version == Version::V2 {
                let parent = root.parent().unwrap_or(root);
                enable_controllers(parent).map_err(failed(parent))?;
            }
            fs::create_dir_all(root).map_err(failed(root))?;
            if self.version == Version::V2 {
                enable_controllers(root).map_err(failed(root))?;
            }
        }
        Ok(())
    }

    /// Makes a group in the subtree, with no limits yet.
    pub(crate) fn group(&self, name: &str) -> io::Result<Group> {
        let dirs: Vec<_> = self.roots.iter().map(|root| root.join(name)).collect();
        for dir in &dirs {
            match fs::create_dir(dir) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
        }
        Ok(Group { version: self.version, dirs })
    }
}

/// Kills whatever lives in a subtree of ours, given its roots, and removes it.
/// Returns how many processes there were. Blocks.
pub(crate) fn destroy(roots: impl IntoIterator<Item = impl AsRef<Path>>) -> io::Result<usize> {
    let mut killed = 0;
    for root in roots {
        let mut dirs = vec![];
        match fs::read_dir(root.as_ref()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            entries => {
                for entry in entries? {
                    let entry = entry?;
                    if entry.file_type()?.is_dir() {
                        dirs.push(entry.path());
                    }
                }
            }
        }
        for dir in &dirs {
            killed += empty(dir)?;
            fs::remove_dir(dir)?;
        }
        fs::remove_dir(root)?;
    }
    Ok(killed)
}

/// Limits of one sandbox.
pub(crate) struct Limits {
    pub(crate) memory_bytes: u64,
    /// Most CPU time it may use, however idle the host.
    pub(crate) cpu_millis_max: u32,
    pub(crate) pids: u32,
}

/// One slot's group. Not removed on drop: its processes must be gone first.
#[derive(Debug)]
pub(crate) struct Group {
    version: Version,
    dirs: Vec<PathBuf>,
}

impl Group {
    pub(crate) fn limit(&self, limits: &Limits) -> io::Result<()> {
        let (memory, swap) = match self.version {
            Version::V1 => ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
            Version::V2 => ("memory.max", "memory.swap.max"),
        };
        // On v1 the sum with swap may never be below the memory limit, so a
        // group that is used again has it lifted first.
        if self.version == Version::V1 {
            self.write_if_there("memory", swap, "-1")?;
        }
        self.write("memory", memory, &limits.memory_bytes.to_string())?;
        let swap_value = match self.version {
            Version::V1 => limits.memory_bytes.to_string(),
            Version::V2 => "0".into(),
        };
        self.write_if_there("memory", swap, &swap_value)?;
        self.write("pids", "pids.max", &limits.pids.to_string())?;
        let quota = u64::from(limits.cpu_millis_max) * CPU_PERIOD_US / 1000;
        match self.version {
            Version::V1 => {
                self.write("cpu", "cpu.cfs_period_us", &CPU_PERIOD_US.to_string())?;
                self.write("cpu", "cpu.cfs_quota_us", &quota.to_string())
            }
            Version::V2 => self.write("cpu", "cpu.max", &format!("{quota} {CPU_PERIOD_US}")),
        }
    }

    /// Sets what it gets of a busy host, in proportion to its neighbours.
    pub(crate) fn weigh_cpu(&self, millis: u32) -> io::Result<()> {
        let of = |whole: u64| u64::from(millis) * whole / 1000;
        match self.version {
            Version::V1 => {
                let shares = of(CPU_SHARES).max(CPU_SHARES_MIN);
                self.write("cpu", "cpu.shares", &shares.to_string())
            }
            Version::V2 => {
                let weight = of(CPU_WEIGHT).clamp(CPU_WEIGHT_MIN, CPU_WEIGHT_MAX);
                self.write("cpu", "cpu.weight", &weight.to_string())
            }
        }
    }

    /// `cgroup.procs` of each hierarchy, open for joining.
    pub(crate) fn procs(&self) -> io::Result<Vec<OwnedFd>> {
        self.dirs
            .iter()
            .map(|dir| Ok(OpenOptions::new().write(true).open(dir.join("cgroup.procs"))?.into()))
            .collect()
    }

    /// Removes the group once its processes are gone. Blocks for at most
    /// [`EMPTY_WAIT_MAX`].
    pub(crate) fn remove(&self) -> io::Result<()> {
        for dir in &self.dirs {
            empty(dir)?;
            match fs::remove_dir(dir) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    fn write(&self, controller: &str, file: &str, value: &str) -> io::Result<()> {
        let path = self.dir(controller).join(file);
        // Not `fs::write`: that would create the file where cgroupfs has none.
        io::Write::write_all(&mut File::options().write(true).open(&path)?, value.as_bytes())
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
    }

    /// Kernels built without swap accounting have no such file.
    fn write_if_there(&self, controller: &str, file: &str, value: &str) -> io::Result<()> {
        if self.dir(controller).join(file).exists() {
            self.write(controller, file, value)
        } else {
            Ok(())
        }
    }

    fn dir(&self, controller: &str) -> &Path {
        match self.version {
            Version::V2 => &self.dirs[0],
            Version::V1 => {
                let index = CONTROLLERS.iter().position(|c| *c == controller);
                &self.dirs[index.expect("a controller of ours")]
            }
        }
    }
}

/// Kills the members of a group and waits until it has none.
fn empty(dir: &Path) -> io::Result<usize> {
    let procs = dir.join("cgroup.procs");
    let deadline = Instant::now() + EMPTY_WAIT_MAX;
    let mut killed = 0;
    loop {
        let members = match fs::read_to_string(&procs) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(killed),
            other => other?,
        };
        let pids: Vec<i32> = members.lines().filter_map(|line| line.parse().ok()).collect();
        if pids.is_empty() {
            return Ok(killed);
        }
        for pid in &pids {
            // A member of a group of ours, read a moment ago: nobody else's.
            if let Some(pid) = rustix::process::Pid::from_raw(*pid) {
                let _gone_already =
                    rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        killed = killed.max(pids.len());
        if Instant::now() > deadline {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{} still has processes", dir.display()),
            ));
        }
        std::thread::sleep(EMPTY_POLL);
    }
}

fn enable_controllers(dir: &Path) -> io::Result<()> {
    let path = dir.join("cgroup.subtree_control");
    let enabled = fs::read_to_string(&path)?;
    if CONTROLLERS.iter().all(|c| enabled.split_whitespace().any(|e| e == *c)) {
        return Ok(());
    }
    io::Write::write_all(&mut File::options().write(true).open(path)?, b"+memory +cpu +pids")
}

/// `mountinfo` and `cgroup` are the files of those names in `/proc/self`.
fn locate_in(mountinfo: &str, cgroup: &str, name: &str) -> Option<Tree> {
    let ours = format!("hearth-{name}");
    let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(Mount::parse).collect();
    if let Some(v2) = mounts.iter().find(|m| m.fs == "cgroup2") {
        let dir = Path::new(v2.dir);
        let there = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
        if CONTROLLERS.iter().all(|c| there.split_whitespace().any(|t| t == *c)) {
            return Some(Tree { version: Version::V2, roots: vec![dir.join(ours)] });
        }
    }
    let roots = CONTROLLERS
        .iter()
        .map(|controller| {
            let mount = mounts
                .iter()
                .find(|m| m.fs == "cgroup" && m.options.split(',').any(|o| o == *controller))?;
            let own = own_group(cgroup, controller).trim_start_matches('/');
            let nested = Path::new(mount.dir).join(own);
            let parent = if nested.is_dir() { nested } else { mount.dir.into() };
            Some(parent.join(&ours))
        })
        .collect::<Option<_>>()?;
    Some(Tree { version: Version::V1, roots })
}

/// This process's group in a v1 hierarchy.
fn own_group<'a>(cgroup: &'a str, controller: &str) -> &'a str {
    cgroup
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            Some((parts.next()?, parts.next()?))
        })
        .find(|(controllers, _)| controllers.split(',').any(|c| c == controller))
        .map_or("/", |(_, path)| path)
}

/// One line of `mountinfo`.
struct Mount<'a> {
    dir: &'a str,
    fs: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        Some(Self { dir: left.split(' ').nth(4)?, fs: right.next()?, options: right.nth(1)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    /// A line of `mountinfo`.
    fn mounted(dir: &Path, fs: &str, options: &str) -> String {
        let dir = dir.display();
        format!("31 23 0:28 / {dir} rw,nosuid shared:9 - {fs} {fs} rw,{options}\n")
    }

    fn v2_tree(root: PathBuf) -> Tree {
        Tree { version: Version::V2, roots: vec![root] }
    }

    /// Makes a directory's files, which cgroupfs would bring along.
    fn files(dir: &Path, contents: &[(&str, &str)]) {
        fs::create_dir_all(dir).unwrap();
        contents.iter().for_each(|(name, text)| fs::write(dir.join(name), text).unwrap());
    }

    fn read(dir: &Path, name: &str) -> String {
        fs::read_to_string(dir.join(name)).unwrap()
    }

    #[test]
    fn v2_is_used_where_it_has_every_controller_and_v1_elsewhere() {
        let temp = tempfile::tempdir().unwrap();
        let (v2, v1) = (temp.path().join("unified"), temp.path().join("v1"));
        files(&v2, &[("cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma\n")]);
        let only_v2 = mounted(Path::new("/proc"), "proc", "relatime")
            + &mounted(&v2, "cgroup2", "nsdelegate,memory_recursiveprot");
        let tree = locate_in(&only_v2, "0::/init.scope\n", "x").unwrap();
        assert_eq!((tree.version, tree.roots), (Version::V2, vec![v2.join("hearth-x")]));

        files(&v2, &[("cgroup.controllers", "hugetlb\n")]);
        assert!(locate_in(&only_v2, "0::/init.scope\n", "x").is_none());
        let hybrid = ["memory", "cpu,cpuacct", "pids"].into_iter().fold(only_v2, |all, names| {
            files(&v1.join(names), &[]);
            all + &mounted(&v1.join(names), "cgroup", names)
        });
        files(&v1.join("memory/ours"), &[]);
        let own = "4:memory:/ours\n2:cpu,cpuacct:/not/mounted/here\n0::/\n";
        let tree = locate_in(&hybrid, own, "x").unwrap();
        let roots = ["memory/ours/hearth-x", "cpu,cpuacct/hearth-x", "pids/hearth-x"];
        assert_eq!((tree.version, tree.roots), (Version::V1, roots.map(|r| v1.join(r)).into()));
    }

    #[test]
    fn v2_controllers_are_enabled_above_and_in_our_subtree_where_they_are_not() {
        const CONTROL: &str = "cgroup.subtree_control";
        let temp = tempfile::tempdir().unwrap();
        let (mount, root) = (temp.path(), temp.path().join("hearth-x"));
        files(mount, &[(CONTROL, "cpuset memory\n")]);
        files(&root, &[(CONTROL, "")]);
        v2_tree(root.clone()).create().unwrap();
        for dir in [mount, &root] {
            assert_eq!(read(dir, CONTROL), "+memory +cpu +pids");
            files(dir, &[(CONTROL, "cpuset cpu io memory pids\n")]);
        }
        v2_tree(root.clone()).create().unwrap();
        for dir in [mount, &root] {
            assert_eq!(read(dir, CONTROL), "cpuset cpu io memory pids\n", "left alone");
        }
    }

    #[test]
    fn v2_limits_and_weights_go_to_their_files() {
        let temp = tempfile::tempdir().unwrap();
        let group = v2_tree(temp.path().into()).group("slot-0").unwrap();
        let dir = temp.path().join("slot-0");
        let limits = Limits { memory_bytes: 192 << 20, cpu_millis_max: 1250, pids: 33 };
        assert!(group.limit(&limits).is_err(), "files that the kernel lacks are not made up");
        let wanted = [
            ("memory.max", "201326592"),
            ("memory.swap.max", "0"),
            ("pids.max", "33"),
            ("cpu.max", "125000 100000"),
        ];
        files(&dir, &wanted.map(|(name, _)| (name, "")));
        group.limit(&limits).unwrap();
        wanted.iter().for_each(|(name, value)| assert_eq!(read(&dir, name), *value, "{name}"));

        // A kernel without swap accounting.
        fs::remove_file(dir.join("memory.swap.max")).unwrap();
        group.limit(&limits).unwrap();
        assert!(!dir.join("memory.swap.max").exists());

        for (millis, weight) in [(1, "1"), (72, "7"), (1000, "100"), (6000, "600")] {
            files(&dir, &[("cpu.weight", "")]);
            group.weigh_cpu(millis).unwrap();
            assert_eq!(read(&dir, "cpu.weight"), weight);
        }
    }

    /// Runs `test` on a real v2 hierarchy that no other process sees mounted.
    /// The controllers may all be v1's: its groups have members anyhow.
    #[allow(unsafe_code)]
    fn on_real_v2(test: impl FnOnce(&Path) + Send) {
        let temp = tempfile::tempdir().unwrap();
        let private = || {
            let flags = rustix::thread::UnshareFlags::NEWNS;
            // SAFETY: it takes no descriptors away, and only this thread's
            // mounts and working directory become its own.
            unsafe { rustix::thread::unshare_unsafe(flags) }.unwrap();
            let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
            mount_change("/", private).unwrap();
            mount("cgroup2", temp.path(), "cgroup2", MountFlags::empty(), None).unwrap();
            test(temp.path());
        };
        std::thread::scope(|scope| scope.spawn(private).join().unwrap());
    }

    #[test]
    fn what_lives_in_a_real_v2_subtree_is_killed_and_the_subtree_removed() {
        on_real_v2(|mount| {
            let root = mount.join(format!("hearth-test-{}", std::process::id()));
            fs::create_dir(&root).unwrap();
            let group = v2_tree(root.clone()).group("slot-0").unwrap();
            let mut sleeper = Command::new("sleep").arg("600").spawn().unwrap();
            for procs in group.procs().unwrap() {
                let joined = format!("{}\n", sleeper.id());
                io::Write::write_all(&mut File::from(procs), joined.as_bytes()).unwrap();
            }
            let listed = read(&root.join("slot-0"), "cgroup.procs");
            assert_eq!(listed, format!("{}\n", sleeper.id()));
            assert_eq!(destroy([&root]).unwrap(), 1);
            assert!(!root.exists());
            let ended = sleeper.wait().unwrap();
            assert_eq!(ended.signal(), Some(libc::SIGKILL));
        });
    }
}
