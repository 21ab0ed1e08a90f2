//! What a VMM can and cannot do on the host, read from `/proc` while it runs.

mod common;

use common::{Host, VmSpec, mappings, spec};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// `/proc/PID/status`.
fn status(pid: u32) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.into(), value.trim().into())).collect()
}

fn namespace(pid: impl std::fmt::Display, kind: &str) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap()
}

/// Every file below a process's root, with the root's own mounts followed.
fn files_in(dir: &Path, prefix: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files_in(&entry.path(), prefix, found);
        } else {
            found.push(entry.path().strip_prefix(prefix).unwrap().display().to_string());
        }
    }
}

#[tokio::test]
async fn a_vmm_has_no_rights_and_sees_nothing() {
    let host = Host::open();
    let first = host.boot().await;
    let second = host.boot().await;
    let pid = first.vm.pid();

    let its = status(pid);
    let uid: u32 = its["Uid"].split('\t').next().unwrap().parse().unwrap();
    assert!(uid >= 2_000_000, "uid {uid}");
    assert!(its["Uid"].split('\t').chain(its["Gid"].split('\t')).all(|id| id == uid.to_string()));
    assert_eq!(its["Groups"], "");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(its[set], "0000000000000000", "{set}");
    }
    assert_eq!(its["NoNewPrivs"], "1");
    assert_eq!(its["Seccomp"], "2");
    // Ours are three, and QEMU's own come on top.
    assert!(its["Seccomp_filters"].parse::<u32>().unwrap() > 3, "{}", its["Seccomp_filters"]);
    assert!(its["NSpid"].ends_with("\t1"), "pid 1 of its own namespace: {}", its["NSpid"]);

    let neighbour = second.vm.pid();
    assert_ne!(status(neighbour)["Uid"], its["Uid"]);
    for kind in ["mnt", "pid", "net", "ipc", "uts"] {
        assert_ne!(namespace(pid, kind), namespace("self", kind), "{kind}");
        assert_ne!(namespace(pid, kind), namespace(neighbour, kind), "{kind}");
    }

    // Its whole world: one read-only mount, and the files of its guest.
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let mut points: Vec<&str> =
        mounts.lines().map(|line| line.split(' ').nth(4).unwrap()).collect();
    points.sort_unstable();
    assert_eq!(points, ["/", "/initramfs", "/kernel"], "{mounts}");
    for line in mounts.lines() {
        let options = line.split(' ').nth(5).unwrap();
        for option in ["ro", "nosuid", "nodev"] {
            assert!(options.split(',').any(|o| o == option), "{option} in {line}");
        }
    }
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let mut files = vec![];
    files_in(&root, &root, &mut files);
    let expected = |file: &String| {
        ["qemu", "kernel", "initramfs", "memory", "firmware/qboot.rom"].contains(&file.as_str())
            || file.contains(".so")
    };
    assert!(files.iter().all(expected), "{files:?}");

    // Nothing open but what it was given or made itself.
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(Result::unwrap) {
        let target = fs::read_link(entry.path()).unwrap().display().to_string();
        let kinds = ["socket:", "pipe:", "anon_inode:", "/dev/null", "/dev/net/tun", "/memfd:"];
        assert!(kinds.iter().any(|kind| target.starts_with(kind)), "{target}");
    }

    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(limit("Max core file size"), "0");
    assert_eq!(limit("Max file size"), "0");
    assert_eq!(limit("Max open files"), "256");
    host.driver.shutdown().await;
}

#[tokio::test]
async fn no_guest_shares_a_page_of_its_memory() {
    const MEMORY_MIB: u32 = 192;
    let host = Host::open();
    let guest = host.boot_with(VmSpec { memory_mib: MEMORY_MIB, ..spec() }).await;
    let mappings = mappings(guest.vm.pid());
    let ram: Vec<_> = mappings.iter().filter(|m| m.kib == u64::from(MEMORY_MIB) * 1024).collect();
    let [ram] = ram[..] else { panic!("one mapping is the guest's RAM: {ram:?}") };
    assert!(ram.anonymous_kib > 50 * 1024, "a booted guest's: {ram:?}");
    let fields: Vec<&str> = ram.head.split_whitespace().collect();
    assert!(fields[1].ends_with('p'), "private: {ram:?}");
    assert_eq!(fields[4], "0", "of no file: {ram:?}");
    // Nor does any other mapping offer its pages to be merged with equal ones.
    for mapping in &mappings {
        assert!(!mapping.flags.split_whitespace().any(|flag| flag == "mg"), "{mapping:?}");
    }
    host.driver.shutdown().await;
}

/// The files of a process's group under a controller, on cgroup v1 or v2.
fn group(pid: u32, controller: &str) -> PathBuf {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let of = |wanted: &dyn Fn(&str) -> bool| {
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            wanted(controllers).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    match of(&|controllers| controllers.split(',').any(|c| c == controller)) {
        Some(path) => Path::new("/sys/fs/cgroup").join(controller).join(path),
        None => Path::new("/sys/fs/cgroup").join(of(&str::is_empty).unwrap()),
    }
}

fn first_of(dir: &Path, names: [&str; 2]) -> String {
    let read = names.iter().find_map(|name| fs::read_to_string(dir.join(name)).ok());
    read.expect("one of the two versions' files").trim().to_owned()
}

#[tokio::test]
async fn a_vmm_is_limited_by_its_cgroup() {
    let host = Host::open();
    let guest = host.boot_with(VmSpec { memory_mib: 192, ..spec() }).await;
    let pid = guest.vm.pid();
    let memory = first_of(&group(pid, "memory"), ["memory.limit_in_bytes", "memory.max"]);
    assert_eq!(memory, ((192 + 96) << 20).to_string());
    assert_eq!(first_of(&group(pid, "pids"), ["pids.max", "pids.max"]), "33");

    let quota = first_of(&group(pid, "cpu"), ["cpu.cfs_quota_us", "cpu.max"]);
    assert_eq!(quota.split(' ').next(), Some("125000"), "a CPU, and a quarter for its VMM");

    let dirs: Vec<_> = ["memory", "cpu", "pids"].iter().map(|c| group(pid, c)).collect();
    guest.vm.kill().await;
    assert!(dirs.iter().all(|dir| !dir.exists()), "{dirs:?}");
    host.driver.shutdown().await;
    assert!(dirs.iter().all(|dir| !dir.parent().unwrap().exists()), "{dirs:?}");
}

#[tokio::test]
async fn a_busy_host_is_shared_by_weight() {
    let host = Host::open();
    // More busy guests than the host has processors, so that they contend.
    let heavies = std::thread::available_parallelism().unwrap().get();
    let mut guests = Vec::new();
    for weight in std::iter::once(100).chain(std::iter::repeat_n(1000, heavies)) {
        let mut guest = host.boot_with(spec()).await;
        guest.vm.weigh_cpu(weight).unwrap();
        guest.send("spin").await;
        guests.push(guest);
    }
    let (light, heavy) = (&guests[0].vm, &guests[1].vm);
    let cpu = async |vm: &std::sync::Arc<dyn hearth_vmm::Vm>| vm.stats().await.unwrap().cpu;
    let (light_before, heavy_before) = (cpu(light).await, cpu(heavy).await);
    // Until the heavy one has had enough time to tell the two apart.
    while cpu(heavy).await - heavy_before < std::time::Duration::from_secs(2) {
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
    let ratio = (cpu(heavy).await - heavy_before).div_duration_f64(cpu(light).await - light_before);
    assert!(ratio > 2.0, "ten times the weight got {ratio:.1} times the CPU");
    host.driver.shutdown().await;
}

#[tokio::test]
async fn files_readable_by_root_alone_are_refused_in_words() {
    use std::os::unix::fs::PermissionsExt;
    let host = Host::open();
    let kernel = host.state.path().join("kernel");
    fs::write(&kernel, b"").unwrap();
    fs::set_permissions(&kernel, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(fs::metadata(&kernel).unwrap().uid(), 0, "these tests run as root");
    let refused = host.driver.create(VmSpec { kernel, ..spec() }).await.err().unwrap();
    assert!(refused.to_string().contains("chmod a+r"), "{refused}");
    host.driver.shutdown().await;
}

#[tokio::test]
async fn a_vmm_that_does_not_come_up_is_reported_in_its_own_words() {
    let host = Host::open();
    let kernel = host.state.path().join("kernel");
    fs::write(&kernel, b"not a kernel").unwrap();
    let refused = host.driver.create(VmSpec { kernel, ..spec() }).await.err().unwrap();
    assert!(refused.to_string().contains("kernel"), "{refused}");
    host.driver.shutdown().await;
}
