//! The thread that starts VMMs.
//!
//! `PR_SET_PDEATHSIG` fires when the *thread* that made the child ends, so one
//! thread that lives as long as the driver makes them all. A thread that ended
//! before the child had asked for that signal would not be noticed; hence the
//! child, having asked, waits for a word of the thread ([`Lifeline`]).
#![allow(unsafe_code)]

use super::child;
use super::plan::{Plan, raise};
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Starts waiting for the thread; each takes about a millisecond.
const QUEUE_MAX: usize = 64;
/// Longest that a child may take to jail itself; the thread waits that long for it.
const JAIL_WAIT_MAX: Duration = Duration::from_secs(10);

/// A started child; it may still fail on its way to `execve`.
pub(crate) struct Child {
    /// Its process id on the host.
    pub(crate) pid: u32,
    /// A handle to it that no other process can come to have.
    pub(crate) pidfd: OwnedFd,
}

type Order = (Plan, oneshot::Sender<io::Result<Child>>);

/// Handle to the thread; the thread ends, and every VMM with it, when the last
/// handle is dropped.
pub(crate) struct Spawner {
    orders: mpsc::SyncSender<Order>,
}

impl Spawner {
    pub(crate) fn start() -> io::Result<Self> {
        let (orders, queue) = mpsc::sync_channel::<Order>(QUEUE_MAX);
        std::thread::Builder::new().name("vmm-spawner".into()).spawn(move || {
            while let Ok((plan, done)) = queue.recv() {
                // A caller stops waiting only with its runtime: the process is
                // about to end, and the child with it.
                let _ = done.send(spawn(&plan));
            }
        })?;
        Ok(Self { orders })
    }

    /// Starts a child as planned.
    pub(crate) async fn spawn(&self, plan: Plan) -> io::Result<Child> {
        let (done, result) = oneshot::channel();
        self.orders.try_send((plan, done)).map_err(|e| match e {
            mpsc::TrySendError::Full(_) => io::Error::from(io::ErrorKind::WouldBlock),
            mpsc::TrySendError::Disconnected(_) => io::Error::from(io::ErrorKind::BrokenPipe),
        })?;
        result.await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?
    }
}

/// The kernel's `struct clone_args`, as far as it is used.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

/// Signal handlers are the parent's business; libc's constant is too narrow.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;

/// A line between the spawner's thread and a child that is jailing itself.
pub(super) struct Lifeline {
    /// The thread's end.
    pub(super) hearth: UnixStream,
    /// The child's, where its other descriptors do not overwrite it.
    pub(super) child: OwnedFd,
}

impl Lifeline {
    fn new() -> io::Result<Self> {
        let (hearth, child) = UnixStream::pair()?;
        hearth.set_read_timeout(Some(JAIL_WAIT_MAX))?;
        Ok(Self { hearth, child: raise(child)? })
    }
}

fn spawn(plan: &Plan) -> io::Result<Child> {
    let lifeline = Lifeline::new()?;
    let child = clone(plan, &lifeline)?;
    let Lifeline { mut hearth, child: theirs } = lifeline;
    drop(theirs);
    // Its report says more than this line of a child that has failed.
    let mut asked = [0];
    if hearth.read_exact(&mut asked).is_ok() {
        let _killed_meanwhile = hearth.write_all(&[child::ALIVE]);
    }
    Ok(child)
}

fn clone(plan: &Plan, lifeline: &Lifeline) -> io::Result<Child> {
    let mut pidfd: RawFd = -1;
    let args = CloneArgs {
        flags: (libc::CLONE_NEWPID
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_PIDFD) as u64
            | CLONE_CLEAR_SIGHAND,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    // SAFETY: without CLONE_VM the child has a copy of our memory and stack, like
    // fork's; `args` is a valid clone_args and `pidfd` outlives the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &args, size_of::<CloneArgs>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: this is the child.
        0 => unsafe { child::run(plan, lifeline) },
        // SAFETY: the kernel put a new descriptor there, which nobody else owns.
        pid => Ok(Child { pid: pid as u32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jail::{Argv, executed};
    use std::ffi::CString;
    use std::fs::File;

    /// Jails `/true`, which is not there, in an empty directory.
    fn plan(root: &std::path::Path, report: &io::PipeWriter) -> Plan {
        Plan {
            executable: CString::from(c"/true"),
            argv: Argv::new(vec!["true".into()]).unwrap(),
            cgroup_procs: vec![],
            netns: File::open("/proc/thread-self/ns/net").unwrap().into(),
            root: CString::new(root.to_str().unwrap()).unwrap(),
            binds: vec![],
            descriptors: vec![],
            limits: vec![],
            uid: 2_000_000,
            filters: [].into(),
            report: raise(report).unwrap(),
        }
    }

    async fn last_step(spawn: impl FnOnce(&Plan)) -> String {
        let root = tempfile::tempdir().unwrap();
        let (report, theirs) = io::pipe().unwrap();
        let plan = plan(root.path(), &theirs);
        drop(theirs);
        spawn(&plan);
        drop(plan);
        executed(report.into()).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_child_whose_parent_dies_before_it_is_bound_to_it_gives_up() {
        let said = last_step(|plan| drop(spawn(plan).unwrap())).await;
        assert!(said.ends_with("executing the VMM"), "a living parent: {said}");

        let said = last_step(|plan| {
            let lifeline = Lifeline::new().unwrap();
            clone(plan, &lifeline).unwrap();
        })
        .await;
        assert!(said.ends_with("binding its life to Hearth's"), "{said}");
    }
}
