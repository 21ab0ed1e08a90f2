//! Which system calls a VMM may make.
//!
//! Three filters, stacked; the kernel takes the strictest answer. QEMU adds its
//! own (`-sandbox on`) once it runs, which takes `execve` away again.
//!
//! 1. An allow-list, found by tracing boots, disk and network traffic and
//!    shutdowns under both accelerators. Anything else answers EPERM: opening a
//!    socket, ptrace, mount, bpf, io_uring and keyrings are simply not there.
//! 2. `clone3` answers ENOSYS, so that libc falls back to `clone`, whose flags
//!    a filter can see: threads only.
//! 3. `madvise` that would share or bloat guest memory answers EINVAL.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a VMM may call whatever the arguments.
const ALLOWED: &[libc::c_long] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_memfd_create,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_msync,
    libc::SYS_munmap,
    libc::SYS_get_mempolicy,
    libc::SYS_set_mempolicy,
    // Files: its own root holds nothing of the host.
    libc::SYS_access,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup2,
    libc::SYS_dup3,
    libc::SYS_fallocate,
    libc::SYS_fchdir,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_ioctl,
    libc::SYS_lseek,
    libc::SYS_newfstatat,
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_read,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_stat,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_write,
    libc::SYS_writev,
    // The sockets it was given; it can make none.
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    // Waiting and waking.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd2,
    libc::SYS_futex,
    libc::SYS_pipe2,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_signalfd4,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    // Time.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_time,
    // Itself and its threads.
    libc::SYS_arch_prctl,
    libc::SYS_clone3,
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_seccomp,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    libc::SYS_sysinfo,
    libc::SYS_tgkill,
    libc::SYS_uname,
];

/// Advice that is refused. HUGEPAGE makes the kernel fill whole huge pages
/// where the guest touched one small one; MERGEABLE lets it share equal pages
/// between sandboxes, which leaks through the caches.
const MADVICE_REFUSED: [libc::c_int; 2] = [libc::MADV_HUGEPAGE, libc::MADV_MERGEABLE];

/// The filters, in the order of their installation.
pub(crate) fn filters() -> Result<Arc<[BpfProgram]>, seccompiler::BackendError> {
    let mut allowed: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|&call| (call, vec![])).collect();
    let thread = libc::CLONE_THREAD as u64;
    allowed.insert(libc::SYS_clone, vec![argument_is(0, SeccompCmpOp::MaskedEq(thread), thread)?]);
    let no_clone3 = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    let refused = MADVICE_REFUSED
        .iter()
        .map(|&advice| argument_is(2, SeccompCmpOp::Eq, advice as u64))
        .collect::<Result<Vec<_>, _>>()?;
    let no_madvice = BTreeMap::from([(libc::SYS_madvise, refused)]);

    let errno = |e: libc::c_int| SeccompAction::Errno(e as u32);
    [
        SeccompFilter::new(allowed, errno(libc::EPERM), SeccompAction::Allow, TargetArch::x86_64)?,
        SeccompFilter::new(
            no_clone3,
            SeccompAction::Allow,
            errno(libc::ENOSYS),
            TargetArch::x86_64,
        )?,
        SeccompFilter::new(
            no_madvice,
            SeccompAction::Allow,
            errno(libc::EINVAL),
            TargetArch::x86_64,
        )?,
    ]
    .into_iter()
    .map(BpfProgram::try_from)
    .collect()
}

fn argument_is(
    index: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)?])
}
