//! Guests that are captured, and their clones.

mod common;

use common::{Host, Memory, PATIENCE, VmSpec, mappings, spec, words};
use hearth_vmm::{DeviceState, Disk, Vm, VmError};
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

const MEMORY_MIB: u32 = 160;

/// Guest memory in files of this directory.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir_in("/dev/shm").unwrap())
    }

    /// A file that a guest can be captured in: empty, or a copy of another's.
    fn captured(&self, name: &str, of: Option<&Path>) -> PathBuf {
        let path = self.0.path().join(name);
        match of {
            Some(of) => drop(std::fs::copy(of, &path).unwrap()),
            None => File::create(&path).unwrap().set_len(u64::from(MEMORY_MIB) << 20).unwrap(),
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        path
    }
}

fn disk(dir: &Path, name: &str, text: &str, bytes: u64) -> Disk {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(bytes).unwrap();
    Disk { path, read_only: true }
}

/// A guest that obeys.
struct Guest {
    vm: Arc<dyn Vm>,
    stream: BufReader<UnixStream>,
}

impl Guest {
    fn of(vm: Arc<dyn Vm>) -> Self {
        let stream = BufReader::new(vm.take_agent_stream().unwrap());
        Self { vm, stream }
    }

    async fn hear(&mut self) -> String {
        let mut line = String::new();
        tokio::time::timeout(PATIENCE, self.stream.read_line(&mut line)).await.unwrap().unwrap();
        line.trim_end().to_owned()
    }

    async fn tell(&mut self, command: &str) -> String {
        self.stream.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        self.hear().await
    }
}

async fn boot(host: &Host, memory: Memory, disks: Vec<Disk>) -> Guest {
    let spec = VmSpec { memory_mib: MEMORY_MIB, memory, disks, ..spec() };
    let mut guest = Guest::of(host.driver.create(spec).await.unwrap());
    assert_eq!(guest.hear().await, "up");
    guest
}

async fn resume(
    host: &Host,
    memory: Memory,
    disks: Vec<Disk>,
    state: &DeviceState,
) -> Result<Guest, VmError> {
    let spec = VmSpec { memory_mib: MEMORY_MIB, memory, disks, ..spec() };
    let prepared = host.driver.prepare(spec).await?;
    assert!(prepared.is_alive());
    Ok(Guest::of(prepared.resume(state.clone()).await?))
}

#[tokio::test]
async fn clones_go_on_from_where_a_guest_was_captured_and_differ_from_there() {
    let (host, files) = (Host::open(), Files::new());
    let memory = files.captured("memory", None);
    let dir = files.0.path().to_owned();
    let large = disk(&dir, "placeholder", "", 1 << 30);
    let mut guest = boot(&host, Memory::Captured(memory.clone()), vec![large]).await;
    assert_eq!(guest.tell("keep secret").await, "ok");
    let state = guest.vm.capture().await.unwrap();
    guest.vm.kill().await;

    let mut clones = vec![];
    for number in 0..2 {
        // A file of its own for each, and on its disk what nobody had read.
        let own = files.captured(&format!("clone-{number}"), Some(&memory));
        let image = disk(&dir, &format!("image-{number}"), &format!("image {number} "), 1 << 20);
        clones.push(resume(&host, Memory::Cloned(own), vec![image], &state).await.unwrap());
    }
    for (number, clone) in clones.iter_mut().enumerate() {
        assert_eq!(clone.tell("kept").await, "secret");
        assert_eq!(clone.tell("disks").await, format!("vda:image {number} :1"));
        assert_eq!(clone.tell(&format!("keep {number}")).await, "ok");
    }
    for (number, clone) in clones.iter_mut().enumerate() {
        assert_eq!(clone.tell("kept").await, number.to_string());
    }
    // What a clone writes is its own: the file stays as it was.
    for number in 0..2 {
        let clone = std::fs::read(dir.join(format!("clone-{number}"))).unwrap();
        assert!(clone == std::fs::read(&memory).unwrap(), "clone {number} wrote to its file");
    }
    host.driver.shutdown().await;
}

#[tokio::test]
async fn a_clone_can_be_captured_again() {
    let (host, files) = (Host::open(), Files::new());
    let first = files.captured("first", None);
    let mut guest = boot(&host, Memory::Captured(first.clone()), vec![]).await;
    guest.tell("keep one").await;
    let state = guest.vm.capture().await.unwrap();
    guest.vm.kill().await;

    let second = files.captured("second", Some(&first));
    let mut clone = resume(&host, Memory::Captured(second.clone()), vec![], &state).await.unwrap();
    assert_eq!(clone.tell("kept").await, "one");
    clone.tell("keep two").await;
    let state = clone.vm.capture().await.unwrap();
    clone.vm.kill().await;

    let mut last = resume(&host, Memory::Cloned(second), vec![], &state).await.unwrap();
    assert_eq!(last.tell("kept").await, "two");
    host.driver.shutdown().await;
}

#[tokio::test]
async fn what_is_no_captured_guest_is_refused_and_leaves_nothing() {
    let (host, files) = (Host::open(), Files::new());
    let memory = files.captured("memory", None);
    for nonsense in [&b"nonsense"[..], b""] {
        let state = DeviceState(nonsense.to_vec().into());
        let refused = resume(&host, Memory::Cloned(memory.clone()), vec![], &state).await;
        let refused = words(&refused.err().unwrap());
        assert!(refused.contains("did not come up"), "{refused}");
    }
    let guest = boot(&host, Memory::Own, vec![]).await;
    let refused = words(&guest.vm.capture().await.err().unwrap());
    assert!(refused.contains("not in a file that can be captured"), "{refused}");
    host.driver.shutdown().await;
    assert_eq!(host.leftovers(), [""; 0]);
}

#[tokio::test]
async fn a_clone_maps_its_memory_privately() {
    let (host, files) = (Host::open(), Files::new());
    let memory = files.captured("memory", None);
    let guest = boot(&host, Memory::Captured(memory.clone()), vec![]).await;
    let state = guest.vm.capture().await.unwrap();
    guest.vm.kill().await;
    let clone = resume(&host, Memory::Cloned(memory), vec![], &state).await.unwrap();
    let of_ram = |m: &&common::Mapping| m.kib == u64::from(MEMORY_MIB) * 1024;
    let maps = mappings(clone.vm.pid());
    let ram = maps.iter().find(of_ram).expect("the guest's memory");
    assert!(ram.head.contains(" rw-p "), "{}", ram.head);
    assert!(!ram.flags.split(' ').any(|flag| ["mg", "hg"].contains(&flag)), "{}", ram.flags);
    host.driver.shutdown().await;
}
