//! Starts the runtime's process and learns of its end.
#![allow(unsafe_code)]

use crate::jail;
use hearth_agent_proto::ExitStatus;
use rustix::fs::{Mode, OFlags, open};
use rustix::pipe::{PipeFlags, pipe_with};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// From the kernel's `linux/sched.h`; libc's constant is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// What to start, and how.
pub(crate) struct Command<'a> {
    /// The program, as seen from inside `root`.
    pub(crate) program: &'a CStr,
    /// The whole environment, `NAME=value` each.
    pub(crate) environment: &'a [CString],
    /// The directory that becomes its `/`; none outside a guest.
    pub(crate) root: Option<&'a CStr>,
    /// The cgroup it is born into; none outside a guest.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// Whether it gets a line; told in `HEARTH_LINE` which two of its descriptors
    /// that is, the one to read from first.
    pub(crate) line: bool,
}

/// Our ends of a runtime's line; non-blocking.
pub(crate) struct LineEnds {
    /// What is written here the runtime reads.
    pub(crate) to_runtime: OwnedFd,
    /// What the runtime writes.
    pub(crate) from_runtime: OwnedFd,
}

/// A process that runs.
pub(crate) struct Spawned {
    /// Its id.
    pub(crate) pid: i32,
    /// What it writes; non-blocking.
    pub(crate) output: OwnedFd,
    /// Its line, if it was to get one.
    pub(crate) line: Option<LineEnds>,
}

/// Why nothing runs.
pub(crate) enum SpawnError {
    /// The program itself cannot be executed.
    Exec(io::Error),
    /// Something on the way to it failed.
    Setup(io::Error),
}

impl<E: Into<io::Error>> From<E> for SpawnError {
    fn from(error: E) -> Self {
        Self::Setup(error.into())
    }
}

/// Which half of the child's work failed, on the pipe back to the agent.
const STAGE_SETUP: u8 = 0;
const STAGE_EXEC: u8 = 1;

/// Starts a process. Returns once it has become the program, or failed to.
///
/// The calling process must have one thread: the child is a copy of it, and a
/// lock held by another thread would stay locked in it for ever.
pub(crate) fn spawn(command: &Command<'_>) -> Result<Spawned, SpawnError> {
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let (output, output_end) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&output, true)?;
    let (failure, failure_end) = pipe_with(PipeFlags::CLOEXEC)?;
    let (line, its_line) = command.line.then(line).transpose()?.unzip();
    let told = its_line.as_ref().map(name);
    let argv = [command.program.as_ptr(), std::ptr::null()];
    let variables = command.environment.iter().chain(&told);
    let envp: Vec<_> = variables.map(|v| v.as_ptr()).chain([std::ptr::null()]).collect();

    let pid = clone(command)?;
    if pid == 0 {
        let streams = [null.as_raw_fd(), output_end.as_raw_fd(), output_end.as_raw_fd()];
        let (stage, error) = match prepare(streams, its_line.as_ref(), command.root) {
            Err(error) => (STAGE_SETUP, error),
            Ok(()) => {
                // SAFETY: both arrays end in null and point to C strings.
                unsafe { libc::execve(argv[0], argv.as_ptr(), envp.as_ptr()) };
                (STAGE_EXEC, io::Error::last_os_error())
            }
        };
        let errno = error.raw_os_error().unwrap_or(libc::EIO).to_le_bytes();
        let report = [stage, errno[0], errno[1], errno[2], errno[3]];
        // SAFETY: five bytes of a live array; then the child ends without
        // running anything of the parent's it has a copy of.
        unsafe {
            libc::write(failure_end.as_raw_fd(), report.as_ptr().cast(), report.len());
            libc::_exit(127);
        }
    }
    drop((failure_end, output_end, null, its_line));
    let mut report = [0; 5];
    let n = rustix::io::retry_on_intr(|| rustix::io::read(&failure, &mut report))?;
    if n == 0 {
        return Ok(Spawned { pid, output, line });
    }
    let [stage, errno @ ..] = report;
    let error = io::Error::from_raw_os_error(i32::from_le_bytes(errno));
    Err(if stage == STAGE_EXEC { SpawnError::Exec(error) } else { SpawnError::Setup(error) })
}

/// The descriptors of a line that are the runtime's.
struct ItsLine {
    read: OwnedFd,
    write: OwnedFd,
}

fn line() -> io::Result<(LineEnds, ItsLine)> {
    let (read, to_runtime) = pipe_with(PipeFlags::CLOEXEC)?;
    let (from_runtime, write) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&to_runtime, true)?;
    rustix::io::ioctl_fionbio(&from_runtime, true)?;
    Ok((LineEnds { to_runtime, from_runtime }, ItsLine { read, write }))
}

fn name(line: &ItsLine) -> CString {
    let (read, write) = (line.read.as_raw_fd(), line.write.as_raw_fd());
    CString::new(format!("HEARTH_LINE={read},{write}")).expect("numbers have no null")
}

/// Like fork, but into the command's cgroup (moving there later waits for an
/// RCU grace period) and, if it gets a root of its own, a new mount namespace.
fn clone(command: &Command<'_>) -> io::Result<i32> {
    // SAFETY: all-zero is a valid `clone_args`.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.exit_signal = libc::SIGCHLD as u64;
    if command.root.is_some() {
        args.flags |= libc::CLONE_NEWNS as u64;
    }
    if let Some(cgroup) = command.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child has its own copy of all memory, and
    // it calls nothing but system calls until it execs or exits.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid as i32) }
}

/// The child's way to the program.
fn prepare(streams: [RawFd; 3], line: Option<&ItsLine>, root: Option<&CStr>) -> io::Result<()> {
    for (stream, fd) in streams.into_iter().enumerate() {
        // SAFETY: the descriptors are open, and above 2 (see `boot`), so that
        // none is overwritten before its turn.
        if unsafe { libc::dup2(fd, stream as RawFd) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: plain system calls on integers and a zeroed local set. Ignored
    // signals, the signal mask and inherited files would survive the exec.
    unsafe {
        libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int);
        for fd in line.iter().flat_map(|line| [line.read.as_raw_fd(), line.write.as_raw_fd()]) {
            libc::fcntl(fd, libc::F_SETFD, 0);
        }
        libc::setsid();
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
    root.map_or(Ok(()), jail::enter)
}

/// Collects dead children; returns how `runtime` ended once it has. Pid 1
/// also inherits, and must bury, every orphan of the guest.
pub(crate) fn reap(runtime: i32) -> io::Result<Option<ExitStatus>> {
    let mut ended = wait(runtime)?.map(|(_, status)| status);
    if std::process::id() == 1 {
        while let Some((pid, status)) = wait(-1)? {
            if pid == runtime {
                ended = Some(status);
            }
        }
    }
    Ok(ended)
}

fn wait(pid: i32) -> io::Result<Option<(i32, ExitStatus)>> {
    let mut status = 0;
    // SAFETY: writes the status.
    let pid = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
    if pid < 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ECHILD) { Ok(None) } else { Err(error) };
    }
    let ended = if libc::WIFSIGNALED(status) {
        ExitStatus::Signaled(libc::WTERMSIG(status))
    } else {
        ExitStatus::Exited(libc::WEXITSTATUS(status))
    };
    Ok((pid > 0).then_some((pid, ended)))
}
