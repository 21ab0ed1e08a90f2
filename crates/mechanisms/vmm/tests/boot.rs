//! Guests boot, talk, use their disks, and end in every way they can.

mod common;

use common::{Host, spec};
use hearth_vmm::{Disk, VmExitStatus};
use std::process::Command;

#[tokio::test]
async fn a_guest_boots_and_its_agent_stream_works() {
    let host = Host::open();
    let started = std::time::Instant::now();
    let mut guest = host.boot().await;
    println!("booted in {:?}", started.elapsed());
    assert_eq!(guest.tell("echo hello").await, "hello");
    assert!(guest.vm.take_agent_stream().is_none(), "the stream is given once");
    let stats = guest.vm.stats().await.unwrap();
    println!("{stats:?}");
    assert!(stats.memory_bytes > 50 << 20 && stats.cpu.as_millis() > 100, "{stats:?}");
    guest.vm.kill().await;
    assert_eq!(guest.vm.exited().await.status, VmExitStatus::Killed);
    guest.vm.kill().await;
    host.driver.shutdown().await;
}

#[tokio::test]
async fn disks_come_in_order_and_only_writable_ones_are_written() {
    let host = Host::open();
    let disk = |name: &str, content: &str, read_only| {
        let path = host.state.path().join(name);
        let mut image = content.as_bytes().to_vec();
        image.resize(1 << 20, 0);
        std::fs::write(&path, image).unwrap();
        Disk { path, read_only }
    };
    let disks = vec![
        disk("a", "first---", true),
        disk("b", "second--", false),
        disk("c", "third---", true),
    ];
    let mut guest = host.boot_with(hearth_vmm::VmSpec { disks: disks.clone(), ..spec() }).await;
    assert_eq!(guest.tell("disks").await, "vda:first---:1 vdb:second--:0 vdc:third---:1");
    assert_eq!(guest.tell("write vdb").await, "ok");
    assert_ne!(guest.tell("write vda").await, "ok");
    guest.vm.kill().await;
    let first = |disk: &Disk| std::fs::read(&disk.path).unwrap()[..8].to_vec();
    assert_eq!(first(&disks[0]), b"first---");
    assert_eq!(first(&disks[1]), b"written!");
    host.driver.shutdown().await;
}

/// A file system of its own, of one MiB.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        disk.run(&["mount", "-t", "tmpfs", "-o", "size=1m", "small"]);
        disk
    }

    fn run(&self, command: &[&str]) {
        let status = Command::new(command[0]).args(&command[1..]).arg(self.0.path()).status();
        assert!(status.unwrap().success(), "{command:?}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.run(&["umount", "--lazy"]);
    }
}

#[tokio::test]
async fn a_guest_is_told_that_the_hosts_disk_is_full_and_goes_on() {
    let host = Host::open();
    let small = SmallDisk::mount();
    let path = small.0.path().join("disk");
    std::fs::File::create(&path).unwrap().set_len(8 << 20).unwrap();
    let disks = vec![Disk { path, read_only: false }];
    let mut guest = host.boot_with(hearth_vmm::VmSpec { disks, ..spec() }).await;
    assert_eq!(guest.tell("write vda").await, "ok");
    let answer = guest.tell("fill vda").await;
    assert!(answer.starts_with("Input/output error"), "{answer}");
    assert_eq!(guest.tell("echo well").await, "well");
    host.driver.shutdown().await;
}
