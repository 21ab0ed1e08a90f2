//! What is mounted where, for the agent and for the function.
//!
//! ```text
//! agent             function (chrooted into /root, in a mount namespace of its own)
//! /proc /sys /dev   /           overlay, read-only: runtime layer over OS layer
//! /cgroup           /var/task   the code, read-only
//! /layers/os        /tmp        the scratch disk
//! /layers/runtime   /run        hosts, resolv.conf, machine-id: written by the agent
//! /root             /proc /dev  its own, with the least in them
//! ```

use crate::error::{During, SetupError};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat, symlinkat};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The function's root, as the agent sees it.
pub(crate) const ROOT: &str = "/root";
/// The cgroup v2 hierarchy.
pub(crate) const CGROUPS: &str = "/cgroup";

const OS_LAYER: (&str, &str) = ("/dev/vda", "/layers/os");
const RUNTIME_LAYER: (&str, &str) = ("/dev/vdb", "/layers/runtime");
const CODE_DISK: &str = "/dev/vdc";
const SCRATCH_DISK: &str = "/dev/vdd";

/// The function may fill `/dev/shm` no further than this (it counts as its memory).
const SHM: &str = "size=64m,mode=1777";
/// `/run` holds three small files.
const RUN: &str = "size=64k,mode=0755";
/// `/dev` holds nodes and links only.
const DEV: &str = "size=64k,mode=0755";

/// The scratch disk is empty and does not outlive the guest: no zeroing of its
/// unused inode tables in the background, no flushes.
const SCRATCH: &str = "noinit_itable,barrier=0";

/// The nodes of the function's `/dev`: name, major and minor number.
const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// The file systems that the agent itself needs, first of all `/dev`.
pub(crate) fn kernel_file_systems() -> Result<(), SetupError> {
    let plain = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount_at("devtmpfs", "/dev", "devtmpfs", plain, "")?;
    mount_at("proc", "/proc", "proc", plain | MountFlags::NODEV, "")?;
    mount_at("sysfs", "/sys", "sysfs", plain | MountFlags::NODEV, "")?;
    mount_at("cgroup2", CGROUPS, "cgroup2", plain | MountFlags::NODEV, "")
}

/// A layer of the function's root, and its code: for reading only.
const LAYER: MountFlags = MountFlags::RDONLY.union(MountFlags::NODEV).union(MountFlags::NOSUID);

/// The OS layer, which all guests have.
pub(crate) fn os_layer() -> Result<(), SetupError> {
    mount_at(OS_LAYER.0, OS_LAYER.1, "erofs", LAYER, "")
}

/// The function's root with all in it that its runtime chooses, and no function.
pub(crate) fn function_root() -> Result<(), SetupError> {
    mount_at(RUNTIME_LAYER.0, RUNTIME_LAYER.1, "erofs", LAYER, "")?;
    let lower = format!("lowerdir={}:{}", RUNTIME_LAYER.1, OS_LAYER.1);
    mount_at("root", ROOT, "overlay", LAYER, &lower)?;
    // What is mounted in it later reaches a runtime that has started already, in
    // its own copy of these mounts.
    mount_change(ROOT, MountPropagationFlags::SHARED)
        .during(|| format!("share the mounts in {ROOT}"))?;

    let data = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    mount_in("/proc", "proc", "proc", data, "hidepid=invisible")?;
    mount_in("/run", "run", "tmpfs", data, RUN)?;
    mount_in("/dev", "dev", "tmpfs", MountFlags::NOSUID | MountFlags::NOEXEC, DEV)?;
    devices(&format!("{ROOT}/dev"))?;
    mount_in("/dev/shm", "shm", "tmpfs", data, SHM)
}

/// The function's code.
pub(crate) fn code() -> Result<(), SetupError> {
    mount_in("/var/task", CODE_DISK, "erofs", LAYER, "")
}

/// The scratch disk, empty and formatted, as the function's `/tmp`.
pub(crate) fn scratch() -> Result<(), SetupError> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME;
    mount_in("/tmp", SCRATCH_DISK, "ext4", flags, SCRATCH)?;
    let tmp = format!("{ROOT}/tmp");
    // Formatting leaves it; the function's `/tmp` is empty.
    let lost_and_found = format!("{tmp}/lost+found");
    match fs::remove_dir(&lost_and_found) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        other => other.during(|| format!("remove {lost_and_found}"))?,
    }
    fs::set_permissions(&tmp, fs::Permissions::from_mode(0o1777))
        .during(|| format!("open {tmp} to all"))
}

fn devices(dev: &str) -> Result<(), SetupError> {
    for (name, major, minor) in NODES {
        let path = format!("{dev}/{name}");
        mknodat(CWD, &path, FileType::CharacterDevice, Mode::empty(), makedev(major, minor))
            .during(|| format!("make {path}"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))
            .during(|| format!("open {path} to all"))?;
    }
    for (name, target) in LINKS {
        let path = format!("{dev}/{name}");
        symlinkat(target, CWD, &path).during(|| format!("link {path}"))?;
    }
    fs::create_dir(format!("{dev}/shm")).during(|| format!("make {dev}/shm"))
}

/// Mounts inside the function's root, on a directory that its layers have.
fn mount_in(
    at: &str,
    source: &str,
    kind: &str,
    flags: MountFlags,
    options: &str,
) -> Result<(), SetupError> {
    let at = format!("{ROOT}{at}");
    let options = CString::new(options).during(|| format!("mount options {options:?}"))?;
    mount(source, &at, kind, flags, options.as_c_str()).during(|| format!("mount {source} on {at}"))
}

/// Mounts for the agent, making the directory.
fn mount_at(
    source: &str,
    at: &str,
    kind: &str,
    flags: MountFlags,
    options: &str,
) -> Result<(), SetupError> {
    fs::create_dir_all(Path::new(at)).during(|| format!("make {at}"))?;
    let options = CString::new(options).during(|| format!("mount options {options:?}"))?;
    mount(source, at, kind, flags, options.as_c_str()).during(|| format!("mount {source} on {at}"))
}
