//! All that the child needs, computed by the parent beforehand: the child may
//! not allocate.
#![allow(unsafe_code)]

use seccompiler::BpfProgram;
use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr;
use std::sync::Arc;

/// Descriptors that the parent hands over are duplicated to here or above, so
/// that putting them in their places (0, 1, 2, …) overwrites none of them.
const SOURCE_FD_MIN: i32 = 256;

/// A file of the host that the VMM sees in its root.
pub(crate) struct Bind {
    /// Whether it can write to it.
    pub(crate) writable: bool,
    /// Path on the host.
    pub(crate) source: CString,
    /// Path of its placeholder, below the root, as the host names it.
    pub(crate) target: CString,
}

/// One resource limit, soft and hard.
pub(crate) struct Limit {
    pub(crate) resource: libc::__rlimit_resource_t,
    pub(crate) value: u64,
}

/// How to jail and start one VMM.
pub(crate) struct Plan {
    /// Program, as a path in the new root.
    pub(crate) executable: CString,
    /// Its arguments, the first being its name.
    pub(crate) argv: Argv,
    /// `cgroup.procs` of each cgroup to join, open for writing.
    pub(crate) cgroup_procs: Vec<OwnedFd>,
    /// Network namespace to join.
    pub(crate) netns: OwnedFd,
    /// Directory that becomes its root.
    pub(crate) root: CString,
    /// Files mounted there.
    pub(crate) binds: Vec<Bind>,
    /// Descriptors it starts with, from 0 up. Made by [`raise`].
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Resource limits.
    pub(crate) limits: Vec<Limit>,
    /// User and group id.
    pub(crate) uid: u32,
    /// Seccomp filters, installed in this order.
    pub(crate) filters: Arc<[BpfProgram]>,
    /// Where the child reports a failed step; closes on success.
    pub(crate) report: OwnedFd,
}

impl Plan {
    pub(super) fn argv_pointers(&self) -> *const *const c_char {
        self.argv.pointers.as_ptr()
    }
}

/// Arguments in the shape that `execve` takes.
pub(crate) struct Argv {
    /// Owns what `pointers` points to.
    _strings: Vec<CString>,
    /// NULL-terminated.
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers are to heap memory that the same struct owns and never
// changes, so they are as good on another thread.
unsafe impl Send for Argv {}

impl Argv {
    /// Takes the arguments over. One with a NUL byte is an error.
    pub(crate) fn new(arguments: Vec<String>) -> io::Result<Self> {
        let strings = arguments.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<_> = strings.iter().map(|s| s.as_ptr()).collect();
        pointers.push(ptr::null());
        Ok(Self { _strings: strings, pointers })
    }
}

/// Duplicates a descriptor out of the range of a VMM's own.
pub(crate) fn raise(fd: impl AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, SOURCE_FD_MIN)?)
}
