//! The child's side of the jail: from `clone3` to `execve`.
//!
//! It runs in a copy of a multi-threaded process, so it may not allocate, lock
//! or panic, and it makes raw system calls only: glibc's `setuid` family would
//! signal threads that exist only in the parent.
#![allow(unsafe_code)]

use super::plan::{Limit, Plan};
use super::spawner::Lifeline;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

/// Steps of jailing, in order; the child reports the one that failed.
pub(super) const STEPS: [&str; 13] = [
    "a new session",
    "joining its cgroup",
    "joining its network namespace",
    "making mounts private",
    "mounting its files",
    "entering its root",
    "placing descriptors",
    "setting resource limits",
    "dropping capabilities",
    "changing user",
    "binding its life to Hearth's",
    "installing seccomp filters",
    "executing the VMM",
];

/// Where a step stands in [`STEPS`].
#[derive(Clone, Copy)]
#[repr(u8)]
enum Step {
    Session,
    Cgroup,
    NetNs,
    Private,
    Files,
    Root,
    Descriptors,
    Limits,
    Capabilities,
    User,
    Lifeline,
    Seccomp,
    Exec,
}

/// Highest capability number tried; the kernel ends the list earlier with EINVAL.
const CAPABILITY_MAX: libc::c_ulong = 63;
/// What a living parent says on the lifeline.
pub(super) const ALIVE: u8 = 1;
/// Exit code of a child that could not be jailed.
const EXIT_NOT_JAILED: libc::c_int = 127;

/// Jails the calling process as planned and becomes the VMM, or reports the
/// failed step and exits.
///
/// # Safety
/// Only in a child just made by `clone3` without `CLONE_VM`.
pub(super) unsafe fn run(plan: &Plan, lifeline: &Lifeline) -> ! {
    // SAFETY: as ours; `enter` only makes system calls on memory of the plan.
    let (step, errno) = unsafe { enter(plan, lifeline) };
    let report = [step as u8, (errno & 0xff) as u8, (errno >> 8) as u8];
    // SAFETY: writes a local buffer to an open descriptor, then ends the process.
    unsafe {
        libc::write(plan.report.as_raw_fd(), report.as_ptr().cast(), report.len());
        libc::_exit(EXIT_NOT_JAILED)
    }
}

/// The error number of the system call that just failed.
fn errno() -> i32 {
    // SAFETY: the thread's errno is always readable.
    unsafe { *libc::__errno_location() }
}

/// Runs one system call; on failure returns the step and the error number.
macro_rules! must {
    ($step:ident, $call:expr) => {
        if ($call as i64) < 0 {
            return (Step::$step, errno());
        }
    };
}

/// # Safety
/// As [`run`]. Every pointer handed to the kernel is to the plan's memory or to
/// a local, both of which outlive the call.
unsafe fn enter(plan: &Plan, lifeline: &Lifeline) -> (Step, i32) {
    unsafe {
        // A copy of Hearth's own end would keep the line open when Hearth is gone.
        must!(Lifeline, libc::close(lifeline.hearth.as_raw_fd()));

        let mut no_signals: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut no_signals);
        must!(Session, libc::sigprocmask(libc::SIG_SETMASK, &no_signals, ptr::null_mut()));
        must!(Session, libc::setsid());

        for procs in &plan.cgroup_procs {
            // "0" is the writer itself.
            must!(Cgroup, libc::write(procs.as_raw_fd(), c"0".as_ptr().cast(), 1));
        }
        must!(NetNs, libc::setns(plan.netns.as_raw_fd(), libc::CLONE_NEWNET));

        must!(Private, mount(None, c"/", libc::MS_REC | libc::MS_PRIVATE));
        must!(Files, mount(Some(&plan.root), &plan.root, libc::MS_BIND));
        for bind in &plan.binds {
            must!(Files, mount(Some(&bind.source), &bind.target, libc::MS_BIND));
            let flags = if bind.writable { READ_WRITE } else { READ_ONLY };
            must!(Files, mount(None, &bind.target, flags | libc::MS_NOEXEC));
        }
        must!(Files, mount(None, &plan.root, READ_ONLY));
        // With "." twice the old root ends up stacked on the new one, and is
        // unmounted from there: no directory needs to be made for it.
        must!(Root, libc::chdir(plan.root.as_ptr()));
        must!(Root, libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()));
        must!(Root, libc::umount2(c".".as_ptr(), libc::MNT_DETACH));
        must!(Root, libc::chdir(c"/".as_ptr()));

        // The plan keeps every source above every target, so none is overwritten.
        for (target, source) in plan.descriptors.iter().enumerate() {
            must!(Descriptors, libc::dup2(source.as_raw_fd(), target as RawFd));
        }
        let rest = plan.descriptors.len();
        must!(
            Descriptors,
            libc::syscall(
                libc::SYS_close_range,
                rest as libc::c_uint,
                libc::c_uint::MAX,
                libc::CLOSE_RANGE_CLOEXEC
            )
        );

        for Limit { resource, value } in &plan.limits {
            let limit = libc::rlimit64 { rlim_cur: *value, rlim_max: *value };
            must!(
                Limits,
                libc::syscall(libc::SYS_prlimit64, 0, *resource, &limit, ptr::null_mut::<u8>())
            );
        }

        for capability in 0..=CAPABILITY_MAX {
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 {
                if errno() == libc::EINVAL {
                    break;
                }
                return (Step::Capabilities, errno());
            }
        }
        must!(User, libc::syscall(libc::SYS_setgroups, 0, ptr::null::<u8>()));
        must!(User, libc::syscall(libc::SYS_setresgid, plan.uid, plan.uid, plan.uid));
        must!(User, libc::syscall(libc::SYS_setresuid, plan.uid, plan.uid, plan.uid));
        let header = CapHeader { version: LINUX_CAPABILITY_VERSION_3, pid: 0 };
        let none = [0u32; 6];
        must!(Capabilities, libc::syscall(libc::SYS_capset, &header, none.as_ptr()));
        must!(Capabilities, libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));

        // After the change of user, which clears it. Whether the parent died
        // before that, no call tells: in a pid namespace of one's own it has no
        // number. So it is asked, and only a living one answers.
        must!(Lifeline, libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0));
        let (line, mut byte) = (lifeline.child.as_raw_fd(), 0u8);
        let no_signal = libc::MSG_NOSIGNAL;
        must!(Lifeline, libc::send(line, (&raw const byte).cast(), 1, no_signal));
        must!(Lifeline, libc::recv(line, (&raw mut byte).cast(), 1, 0));
        if byte != ALIVE {
            return (Step::Lifeline, libc::EPIPE);
        }

        for filter in plan.filters.iter() {
            let program = libc::sock_fprog {
                len: filter.len() as u16,
                filter: filter.as_ptr().cast_mut().cast(),
            };
            must!(
                Seccomp,
                libc::syscall(
                    libc::SYS_seccomp,
                    libc::SECCOMP_SET_MODE_FILTER,
                    libc::SECCOMP_FILTER_FLAG_TSYNC,
                    &program
                )
            );
        }
        let environment = [ptr::null::<libc::c_char>()];
        libc::execve(plan.executable.as_ptr(), plan.argv_pointers(), environment.as_ptr());
        (Step::Exec, errno())
    }
}

const READ_WRITE: libc::c_ulong =
    libc::MS_REMOUNT | libc::MS_BIND | libc::MS_NOSUID | libc::MS_NODEV;
const READ_ONLY: libc::c_ulong = READ_WRITE | libc::MS_RDONLY;

const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// The kernel's `__user_cap_header_struct`.
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

/// # Safety
/// None beyond being a system call on valid strings.
unsafe fn mount(source: Option<&CStr>, target: &CStr, flags: libc::c_ulong) -> libc::c_int {
    let source = source.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: both strings are NUL-terminated and live through the call.
    unsafe { libc::mount(source, target.as_ptr(), ptr::null(), flags, ptr::null()) }
}
