//! The thread that starts VMMs.
//!
//! `PR_SET_PDEATHSIG` fires when the *thread* that made the child ends, so one
//! thread that lives as long as the driver makes them all.
#![allow(unsafe_code)]

use super::child;
use super::plan::Plan;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::mpsc;
use tokio::sync::oneshot;

/// Starts waiting for the thread; each takes about a millisecond.
const QUEUE_MAX: usize = 64;

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
                // A caller that stopped waiting drops the pidfd; the lifeline
                // it held too is then closed, and the child gives up.
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

fn spawn(plan: &Plan) -> io::Result<Child> {
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
        0 => unsafe { child::run(plan) },
        // SAFETY: the kernel put a new descriptor there, which nobody else owns.
        pid => Ok(Child { pid: pid as u32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}
