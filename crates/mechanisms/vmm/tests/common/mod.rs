//! A guest to boot: the real kernel and modules, with a small pid 1 of the
//! tests' own in the agent's place.
#![allow(dead_code, missing_docs)]

use hearth_types::SandboxId;
use hearth_vmm::{IsolationChoice, Vm, VmDriver, VmSpec, VmmOptions, open_driver};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Guest {
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
}

/// The guest's files, made once a process.
pub fn guest() -> &'static Guest {
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
pub struct Host {
    pub driver: Arc<dyn VmDriver>,
    pub state: tempfile::TempDir,
}

impl Host {
    pub fn open() -> Self {
        let state = tempfile::tempdir().unwrap();
        let options = VmmOptions { state_dir: state.path().into(), slots_max: 8 };
        let (driver, selection) = open_driver(IsolationChoice::Auto, &options).unwrap();
        println!("{}", selection.reason);
        Self { driver, state }
    }

    pub async fn boot(&self) -> Booted {
        self.boot_with(spec()).await
    }

    pub async fn boot_with(&self, spec: VmSpec) -> Booted {
        let vm = self.driver.create(spec).await.unwrap_or_else(|e| panic!("{}", words(&e)));
        let mut stream = BufReader::new(vm.take_agent_stream().expect("the stream, once"));
        let up = tokio::time::timeout(PATIENCE, line(&mut stream)).await;
        assert_eq!(up.expect("the guest boots in time"), "up");
        Booted { vm, stream }
    }
}

pub fn spec() -> VmSpec {
    let guest = guest();
    VmSpec {
        id: SandboxId::new(),
        memory_mib: 256,
        vcpus: 1,
        cpu_millis: 1000,
        kernel: guest.kernel.clone(),
        initramfs: guest.initramfs.clone(),
        disks: vec![],
        network: true,
    }
}

pub struct Booted {
    pub vm: Arc<dyn Vm>,
    stream: BufReader<UnixStream>,
}

impl Booted {
    /// Has the guest obey; returns its answer.
    pub async fn tell(&mut self, command: &str) -> String {
        self.send(command).await;
        tokio::time::timeout(PATIENCE, line(&mut self.stream)).await.expect("an answer in time")
    }

    pub async fn send(&mut self, command: &str) {
        self.stream.write_all(format!("{command}\n").as_bytes()).await.unwrap();
    }
}

async fn line(stream: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    line.trim_end().to_owned()
}

/// An error with all its causes.
pub fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words += &format!(": {error}");
        cause = error.source();
    }
    words
}

/// VMM processes of the calling process.
pub fn vmm_pids() -> Vec<u32> {
    let mut pids = vec![];
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    pids
}
