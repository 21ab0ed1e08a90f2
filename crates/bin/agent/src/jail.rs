//! What a child of the agent does to itself before it becomes the runtime.
//!
//! Runs between clone and exec, in a copy of a single-threaded process: plain
//! system calls only, errors as raw numbers.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;

/// The user and group that functions run as, Lambda's own choice.
const FUNCTION_ID: u32 = 993;
/// Open files per process.
const OPEN_FILES_MAX: u64 = 1024;
/// Where the runtime starts.
const HOME: &CStr = c"/var/task";

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Shuts the calling process into `root`, as nobody in particular. It must be
/// alone in its mount namespace.
pub(crate) fn enter(root: &CStr) -> io::Result<()> {
    // The kernel's killer may take the function, unlike the agent it descends
    // from. Done first: the file belongs to root.
    std::fs::write("/proc/self/oom_score_adj", "0")?;
    let none = std::ptr::null();
    // SAFETY: all pointers are to C strings that outlive their calls. The
    // initramfs cannot be pivoted away from, so the function's root is moved
    // over it; nothing above it stays reachable, and nobody inside has the
    // right to chroot again.
    unsafe {
        check(libc::chdir(root.as_ptr()))?;
        check(libc::mount(c".".as_ptr(), c"/".as_ptr(), none, libc::MS_MOVE, none.cast()))?;
        check(libc::chroot(c".".as_ptr()))?;
        check(libc::chdir(HOME.as_ptr()))?;
    }
    limit(libc::RLIMIT_NOFILE, OPEN_FILES_MAX)?;
    limit(libc::RLIMIT_CORE, 0)?;
    // The cgroup bounds processes; the kernel's default, from its memory size,
    // would undercut it.
    limit(libc::RLIMIT_NPROC, libc::RLIM_INFINITY)?;
    drop_privileges()
}

fn limit(resource: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: reads the structure.
    check(unsafe { libc::setrlimit(resource, &raw const limit) })
}

fn drop_privileges() -> io::Result<()> {
    // SAFETY: integers and a null pointer of length zero.
    unsafe {
        // Beyond the last capability the kernel knows, it answers EINVAL.
        let mut capability = 0;
        while libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) == 0 {
            capability += 1;
        }
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setresgid(FUNCTION_ID, FUNCTION_ID, FUNCTION_ID))?;
        // Leaving root behind empties the permitted and effective sets.
        check(libc::setresuid(FUNCTION_ID, FUNCTION_ID, FUNCTION_ID))?;
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    }
}
