//! What jail, pool and control socket cost, next to a bare QEMU in the same run.

mod common;

use common::{Host, guest};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;

/// Boots the same guest with nothing around it; returns the time to its first word.
fn bare_boot() -> (Duration, Child) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty()).unwrap();
    let khz = hearth_vmm::host_tsc_khz();
    let started = Instant::now();
    let vmm = Command::new("qemu-system-x86_64")
        .args(["-M", "microvm,acpi=on,x-option-roms=off,pit=off,pic=off,rtc=on,isa-serial=off"])
        .args(["-accel", "tcg", "-cpu", "max", "-m", "256M", "-smp", "1", "-nodefaults"])
        .args(["-no-user-config", "-nographic", "-no-reboot", "-bios", "qboot.rom"])
        .arg("-kernel")
        .arg(&guest().kernel)
        .arg("-initrd")
        .arg(&guest().initramfs)
        .arg("-append")
        .arg(format!(
            "quiet loglevel=0 tsc=reliable tsc_early_khz={khz} cryptomgr.notests mitigations=off \
             audit=0 apparmor=0 rcupdate.rcu_expedited=1 8250.nr_uarts=0 pci=off no_timer_check \
             random.trust_cpu=on panic=-1"
        ))
        .args(["-device", "virtio-serial-device", "-chardev"])
        .arg(format!("socket,id=a,fd={}", theirs.as_raw_fd()))
        .args(["-device", "virtserialport,chardev=a,name=agent"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    drop(theirs);
    ours.read_exact(&mut [0; 3]).unwrap();
    (started.elapsed(), vmm)
}

#[tokio::test]
async fn a_boot_costs_little_more_than_a_bare_one() {
    let host = Host::open();
    let (mut bare, mut jailed, mut create) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let (took, mut vmm) = tokio::task::spawn_blocking(bare_boot).await.unwrap();
        vmm.kill().unwrap();
        vmm.wait().unwrap();
        bare.push(took);

        let started = Instant::now();
        let vm = host.driver.create(common::spec()).await.unwrap();
        create.push(started.elapsed());
        let mut stream = vm.take_agent_stream().unwrap();
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut [0; 3]).await.unwrap();
        jailed.push(started.elapsed());
        vm.kill().await;
    }
    println!("bare {bare:?}\njailed {jailed:?}\ncreate {create:?}");
    let best = |times: &[Duration]| times.iter().min().copied().unwrap();
    let ratio = best(&jailed).as_secs_f64() / best(&bare).as_secs_f64();
    assert!(ratio <= 1.5, "{ratio:.2} times a bare boot");
    host.driver.shutdown().await;
}

/// Resident KiB of the mappings that `wanted` picks by their size in KiB.
fn resident(pid: u32, wanted: impl Fn(u64) -> bool) -> u64 {
    let smaps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let (mut total, mut size) = (0, 0);
    for line in smaps.lines() {
        let kib = |value: &str| value.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
        if let Some(value) = line.strip_prefix("Size:") {
            size = kib(value);
        } else if let Some(value) = line.strip_prefix("Anonymous:")
            && wanted(size)
        {
            total += kib(value);
        }
    }
    total
}

#[tokio::test]
async fn a_vmm_takes_at_most_45_mb_beyond_its_guests_pages() {
    let host = Host::open();
    let guest = host.boot().await;
    let ram_kib = 256 * 1024;
    let pages = resident(guest.vm.pid(), |size| size == ram_kib);
    assert!(pages > 50 * 1024, "the guest's RAM is found: {pages} KiB");
    let beyond = resident(guest.vm.pid(), |size| size != ram_kib);
    println!("{beyond} KiB beyond {pages} KiB of guest pages");
    assert!(beyond <= 45 * 1000 * 1000 / 1024, "{beyond} KiB");
    host.driver.shutdown().await;
}
