//! What jail, network, pool and control socket cost, next to a bare QEMU in the same run.

mod common;

use common::{Host, Mapping, PATIENCE, VmSpec, mappings, spec};
use hearth_vmm::{Isolation, Origin, Surroundings, host_tsc_khz, qemu_command_line};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
/// The driver's own filters on QEMU, which a bare one goes without.
const FILTERS: &str = "-sandbox";

/// Boots a guest by the driver's own command line, but with nothing around it:
/// no jail, no filters, no network. Returns the time to its first word.
fn bare_boot(isolation: Isolation, tsc_khz: u64) -> (Duration, Child) {
    let spec = VmSpec { network: false, ..spec() };
    let (mut ours, agent) = UnixStream::pair().unwrap();
    let (_control, qmp) = UnixStream::pair().unwrap();
    let kvm = (isolation == Isolation::QemuKvm)
        .then(|| File::options().read(true).write(true).open("/dev/kvm").unwrap());
    // The VMM's ends have to outlive its exec.
    let given = |fd: &dyn AsFd| {
        rustix::io::fcntl_setfd(fd.as_fd(), rustix::io::FdFlags::empty()).unwrap();
        fd.as_fd().as_raw_fd() as usize
    };
    let around = Surroundings {
        program: "qemu-system-x86_64".into(),
        firmware_dir: "/usr/share/qemu".into(),
        origin: Origin::Boot { kernel: spec.kernel.clone(), initramfs: spec.initramfs.clone() },
        memory: PathBuf::new(),
        state: None,
        agent: given(&agent),
        qmp: given(&qmp),
        tap: None,
        kvm: kvm.as_ref().map(|kvm| given(kvm)),
        disks: vec![],
    };
    let mut line = qemu_command_line(&spec, isolation, tsc_khz, &around);
    let filters = line.iter().position(|word| word == FILTERS).expect("the driver asks for them");
    line.drain(filters..filters + 2);

    let started = Instant::now();
    let vmm = Command::new(&line[0]).args(&line[1..]).stdin(Stdio::null()).spawn().unwrap();
    drop((agent, qmp));
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    ours.read_exact(&mut [0; 3]).unwrap();
    (started.elapsed(), vmm)
}

#[tokio::test]
async fn a_boot_costs_little_more_than_a_bare_one() {
    let host = Host::open();
    let (isolation, tsc_khz) = (host.driver.isolation(), host_tsc_khz());
    let (mut bare, mut jailed, mut create) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let boot = tokio::task::spawn_blocking(move || bare_boot(isolation, tsc_khz));
        let (took, mut vmm) = boot.await.unwrap();
        vmm.kill().unwrap();
        vmm.wait().unwrap();
        bare.push(took);

        let started = Instant::now();
        let vm = host.driver.create(spec()).await.unwrap();
        create.push(started.elapsed());
        let mut stream = vm.take_agent_stream().unwrap();
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut [0; 3]).await.unwrap();
        jailed.push(started.elapsed());
        vm.kill().await;
    }
    let best = |times: &[Duration]| times.iter().min().copied().unwrap();
    let ratio = best(&jailed).as_secs_f64() / best(&bare).as_secs_f64();
    println!("bare {bare:?}\njailed {jailed:?}\ncreate {create:?}\n{ratio:.2} times a bare boot");
    assert!(ratio <= 1.5, "{ratio:.2} times a bare boot");
    host.driver.shutdown().await;
}

#[tokio::test]
async fn a_vmm_takes_at_most_45_mb_beyond_its_guests_pages() {
    let host = Host::open();
    let guest = host.boot().await;
    let ram_kib = 256 * 1024;
    let (ram, others): (Vec<_>, Vec<_>) =
        mappings(guest.vm.pid()).into_iter().partition(|mapping| mapping.kib == ram_kib);
    let resident = |of: &[Mapping]| of.iter().map(|mapping| mapping.anonymous_kib).sum::<u64>();
    let (pages, beyond) = (resident(&ram), resident(&others));
    assert!(pages > 50 * 1024, "the guest's RAM is found: {pages} KiB");
    println!("{beyond} KiB beyond {pages} KiB of guest pages");
    assert!(beyond <= 45 * 1000 * 1000 / 1024, "{beyond} KiB");
    host.driver.shutdown().await;
}
