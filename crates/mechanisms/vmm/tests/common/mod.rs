//! A guest to boot: the real kernel and modules, with a small pid 1 of the
//! tests' own in the agent's place.
#![allow(dead_code)]

use hearth_types::SandboxId;
use hearth_vmm::{Cidr, IsolationChoice, Vm, VmDriver, VmmOptions, open_driver};
pub(crate) use hearth_vmm::{Memory, VmSpec};
use sha2::Digest;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Guest {
    pub(crate) kernel: PathBuf,
    pub(crate) initramfs: PathBuf,
}

/// The guest's files, made once a process.
pub(crate) fn guest() -> &'static Guest {
    static GUEST: OnceLock<(Guest, tempfile::TempDir)> = OnceLock::new();
    &GUEST
        .get_or_init(|| {
            let (kernel, modules) = images();
            let dir = tempfile::tempdir().unwrap();
            let init = dir.path().join("init");
            let built = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
                .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static"])
                .args(["-C", "strip=symbols", "-o"])
                .arg(&init)
                .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest/init.rs"))
                .status()
                .unwrap();
            assert!(built.success(), "the test guest's init does not compile");
            // The kernel unpacks archives one after the other: the later init wins.
            let mut archive = std::fs::read(&modules).unwrap();
            archive.resize(archive.len().next_multiple_of(4), 0);
            cpio_entry(&mut archive, "init", 0o100_755, &std::fs::read(&init).unwrap());
            cpio_entry(&mut archive, "TRAILER!!!", 0, &[]);
            let initramfs = dir.path().join("initramfs");
            std::fs::write(&initramfs, archive).unwrap();
            (Guest { kernel, initramfs }, dir)
        })
        .0
}

/// Kernel and an initramfs with its modules.
fn images() -> (PathBuf, PathBuf) {
    let from_env = |name| std::env::var_os(name).map(PathBuf::from);
    if let (Some(kernel), Some(initramfs)) =
        (from_env("HEARTH_TEST_KERNEL"), from_env("HEARTH_TEST_INITRAMFS"))
    {
        return (kernel, initramfs);
    }
    let home = from_env("HOME").expect("HOME");
    let cache = hearth_images::ImageCache::open(home.join(".cache/hearth")).unwrap();
    let images = cache.load().expect(
        "these tests boot guests: build images first (hearth images build), or set \
         HEARTH_TEST_KERNEL and HEARTH_TEST_INITRAMFS",
    );
    (images.kernel.path, images.initramfs.path)
}

/// Appends a file in the "newc" format.
fn cpio_entry(archive: &mut Vec<u8>, name: &str, mode: u32, data: &[u8]) {
    let size = data.len() as u32;
    let fields = [0, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name.len() as u32 + 1, 0];
    archive.extend(b"070701");
    fields.iter().for_each(|field| archive.extend(format!("{field:08x}").bytes()));
    archive.extend(name.bytes());
    archive.push(0);
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend(data);
    archive.resize(archive.len().next_multiple_of(4), 0);
}

/// A driver on a state directory of its own.
pub(crate) struct Host {
    pub(crate) driver: Arc<dyn VmDriver>,
    pub(crate) state: tempfile::TempDir,
}

impl Host {
    pub(crate) fn open() -> Self {
        Self::open_with_slots(8)
    }

    pub(crate) fn open_with_slots(slots_max: u32) -> Self {
        Self::on(tempfile::tempdir().unwrap(), slots_max)
    }

    pub(crate) fn on(state: tempfile::TempDir, slots_max: u32) -> Self {
        Self::allowing(state, slots_max, vec![])
    }

    pub(crate) fn allowing(
        state: tempfile::TempDir,
        slots_max: u32,
        allow_networks: Vec<Cidr>,
    ) -> Self {
        let options = VmmOptions { state_dir: state.path().into(), slots_max, allow_networks };
        let opened = open_driver(IsolationChoice::Auto, &options);
        let (driver, selection) = opened.unwrap_or_else(|e| panic!("{}", words(&e)));
        println!("{}", selection.reason);
        Self { driver, state }
    }

    /// Our cgroups' directories.
    fn groups(&self) -> Vec<PathBuf> {
        groups(self.state.path())
    }

    /// Processes in them.
    pub(crate) fn members(&self) -> Vec<String> {
        let slots = self.groups().into_iter().flat_map(|dir| std::fs::read_dir(dir).unwrap());
        let slots = slots.flatten().filter(|slot| slot.path().is_dir());
        let members = slots.map(|slot| std::fs::read_to_string(slot.path().join("cgroup.procs")));
        members
            .flat_map(|m| m.unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// What there is of the instance on the host.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        leftovers(self.state.path())
    }

    /// Leaves without shutting down, as a crash does, with a process in the
    /// place of a VMM.
    pub(crate) async fn crash(self, stray: u32) -> tempfile::TempDir {
        until(|| self.groups().iter().all(|dir| dir.join("slot-0").is_dir())).await;
        for dir in self.groups() {
            std::fs::write(dir.join("slot-0/cgroup.procs"), stray.to_string()).unwrap();
        }
        self.abandon().await
    }

    /// Leaves without shutting down, and waits until its locks are free: a
    /// program that another test is starting may hold them until it runs.
    pub(crate) async fn abandon(self) -> tempfile::TempDir {
        let Self { driver, state } = self;
        drop(driver);
        let traces = Path::new("/run/hearth").join(id(state.path()));
        let locks = [state.path().join("vmm/lock"), traces.join("lock")];
        let free = |lock: &PathBuf| {
            // One that is gone was free, and its traces are cleared away.
            let Ok(file) = std::fs::File::open(lock) else { return true };
            let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
            rustix::fs::flock(&file, exclusive).is_ok()
        };
        until(|| locks.iter().all(free)).await;
        state
    }

    pub(crate) async fn boot(&self) -> Booted {
        self.boot_with(spec()).await
    }

    pub(crate) async fn boot_with(&self, spec: VmSpec) -> Booted {
        let vm = self.driver.create(spec).await.unwrap_or_else(|e| panic!("{}", words(&e)));
        let mut stream = BufReader::new(vm.take_agent_stream().expect("the stream, once"));
        let up = tokio::time::timeout(PATIENCE, line(&mut stream)).await;
        assert_eq!(up.expect("the guest boots in time"), "up");
        Booted { vm, stream }
    }
}

/// What there is on the host of the instance on a state directory.
pub(crate) fn leftovers(state: &Path) -> Vec<String> {
    let mut left: Vec<String> = groups(state).iter().map(|dir| dir.display().to_string()).collect();
    let tables = Command::new("nft").args(["list", "tables"]).output().unwrap();
    let tables = String::from_utf8(tables.stdout).unwrap();
    left.extend(tables.lines().filter(|t| t.contains(&id(state))).map(str::to_owned));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let state_dir = state.display().to_string();
    left.extend(mounts.lines().filter(|m| m.contains(&state_dir)).map(str::to_owned));
    let traces = Path::new("/run/hearth").join(id(state));
    left.extend(traces.exists().then(|| traces.display().to_string()));
    left
}

fn groups(state: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    find_dirs(Path::new("/sys/fs/cgroup"), &format!("hearth-{}", id(state)), &mut found);
    found
}

/// The instance's id: what its things on the host are named after.
fn id(state: &Path) -> String {
    let dir = state.canonicalize().unwrap().join("vmm");
    let digest = sha2::Sha256::digest(dir.as_os_str().as_encoded_bytes());
    hex::encode(digest)[..8].to_owned()
}

fn find_dirs(dir: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            match *entry.file_name() == *name {
                true => found.push(entry.path()),
                false => find_dirs(&entry.path(), name, found),
            }
        }
    }
}

/// Waits for a condition.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "the condition never came true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn spec() -> VmSpec {
    let guest = guest();
    VmSpec {
        id: SandboxId::new(),
        memory_mib: 256,
        memory: Memory::Own,
        vcpus: 1,
        kernel: guest.kernel.clone(),
        initramfs: guest.initramfs.clone(),
        disks: vec![],
        network: true,
    }
}

pub(crate) struct Booted {
    pub(crate) vm: Arc<dyn Vm>,
    stream: BufReader<UnixStream>,
}

impl Booted {
    /// Has the guest obey; returns its answer.
    pub(crate) async fn tell(&mut self, command: &str) -> String {
        self.send(command).await;
        tokio::time::timeout(PATIENCE, line(&mut self.stream)).await.expect("an answer in time")
    }

    pub(crate) async fn send(&mut self, command: &str) {
        self.stream.write_all(format!("{command}\n").as_bytes()).await.unwrap();
    }
}

async fn line(stream: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    line.trim_end().to_owned()
}

/// A mapping of a process's memory, from `/proc/PID/smaps`.
#[derive(Debug, Default)]
pub(crate) struct Mapping {
    /// Its first line: addresses, rights, offset, device, inode, file.
    pub(crate) head: String,
    pub(crate) kib: u64,
    /// Resident, and of no file.
    pub(crate) anonymous_kib: u64,
    /// Two letters each, as proc(5) lists them.
    pub(crate) flags: String,
}

pub(crate) fn mappings(pid: u32) -> Vec<Mapping> {
    let mut found: Vec<Mapping> = vec![];
    for line in std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap().lines() {
        let (name, value) = line.split_once(' ').unwrap();
        let kib = || value.trim().trim_end_matches(" kB").parse().unwrap();
        match (name, found.last_mut()) {
            ("Size:", Some(last)) => last.kib = kib(),
            ("Anonymous:", Some(last)) => last.anonymous_kib = kib(),
            ("VmFlags:", Some(last)) => last.flags = value.into(),
            (name, _) if !name.ends_with(':') => {
                found.push(Mapping { head: line.into(), ..Mapping::default() });
            }
            _ => {}
        }
    }
    found
}

/// An error with all its causes.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words += &format!(": {error}");
        cause = error.source();
    }
    words
}
