//! One running VMM: its streams, its end, and the release of what it held.
#![allow(unsafe_code)]

use super::launch::{Launched, Transfer};
use super::qmp::Qmp;
use crate::cgroup::Group;
use crate::jail::Child;
use crate::slots::Slot;
use crate::{DeviceState, GuestNetwork, Vm, VmError, VmExit, VmExitStatus, VmStats};
use async_trait::async_trait;
use parking_lot::Mutex;
use rustix::process::{Signal, WaitId, WaitIdOptions};
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::watch;

/// How much of a VMM's stderr is kept: its last words.
const STDERR_BYTES_MAX: usize = 4 * 1024;
/// How long after a VMM's end its stderr may take to close.
const STDERR_CLOSE_WAIT: Duration = Duration::from_secs(1);

/// How long a guest may take to come to a stop, its disk I/O under way included,
/// and the state of its devices to be saved.
const CAPTURE_WAIT_MAX: Duration = Duration::from_secs(30);

/// A VMM process from its start to the release of its slot.
///
/// The task made by [`Process::watch`] owns the slot; handles can only kill.
pub(super) struct Process {
    pid: u32,
    pidfd: OwnedFd,
    group: Arc<Group>,
    killed: AtomicBool,
    stderr: Mutex<VecDeque<u8>>,
    exit: watch::Sender<Option<VmExit>>,
}

/// What a process is watched through.
pub(super) struct Eyes {
    ended: AsyncFd<OwnedFd>,
    stderr: pipe::Receiver,
}

impl Eyes {
    /// Fails when descriptors run out.
    pub(super) fn open(child: &Child, stderr: OwnedFd) -> io::Result<Self> {
        let pidfd = rustix::io::fcntl_dupfd_cloexec(&child.pidfd, 0)?;
        // SAFETY: an owned descriptor stays open and the same for its life.
        let ended = unsafe { AsyncFd::register(pidfd) }?;
        Ok(Self { ended, stderr: pipe::Receiver::from_owned_fd(stderr)? })
    }
}

impl Process {
    /// Takes a just-started child over. Its end is noticed, and its slot
    /// released, whatever happens to the handle.
    pub(super) fn watch(child: Child, slot: Slot, Eyes { ended, stderr }: Eyes) -> Arc<Self> {
        let process = Arc::new(Self {
            pid: child.pid,
            pidfd: child.pidfd,
            group: slot.group(),
            killed: AtomicBool::new(false),
            stderr: Mutex::default(),
            exit: watch::Sender::new(None),
        });
        // It owns itself: it ends with the VMM, which shutdown kills and waits for.
        drop(hearth_tasks::spawn("VMM", process.clone().supervise(ended, stderr, slot)));
        process
    }

    async fn supervise(
        self: Arc<Self>,
        ended: AsyncFd<OwnedFd>,
        stderr: pipe::Receiver,
        slot: Slot,
    ) {
        let reader = hearth_tasks::spawn("VMM stderr", self.clone().keep_stderr(stderr));
        let status = match ended.readable().await {
            Ok(_) => self.reap(),
            Err(e) => Err(e),
        };
        let status = status.unwrap_or_else(|error| {
            tracing::error!(pid = self.pid, %error, "a VMM's end could not be observed");
            VmExitStatus::Exited(-1)
        });
        if tokio::time::timeout(STDERR_CLOSE_WAIT, reader).await.is_err() {
            tracing::warn!(pid = self.pid, "a VMM's stderr stays open after its end");
        }
        slot.release().await;
        self.exit.send_replace(Some(VmExit { status, stderr: self.stderr() }));
    }

    fn reap(&self) -> io::Result<VmExitStatus> {
        let status =
            rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED)?
                .ok_or(io::ErrorKind::NotFound)?;
        Ok(if self.killed.load(Ordering::SeqCst) {
            VmExitStatus::Killed
        } else if let Some(code) = status.exit_status() {
            VmExitStatus::Exited(code)
        } else {
            VmExitStatus::Signalled(status.terminating_signal().unwrap_or(0))
        })
    }

    async fn keep_stderr(self: Arc<Self>, mut stderr: pipe::Receiver) {
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
            let mut kept = self.stderr.lock();
            kept.extend(&buffer[..read]);
            let excess = kept.len().saturating_sub(STDERR_BYTES_MAX);
            kept.drain(..excess);
        }
    }

    /// The last of what it wrote to stderr, as text.
    pub(super) fn stderr(&self) -> String {
        let bytes: Vec<u8> = self.stderr.lock().iter().copied().collect();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }

    /// Whether it has not ended yet.
    pub(super) fn is_alive(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// Sends SIGKILL; what follows is [`Process::exited`]'s.
    pub(super) fn signal_kill(&self) {
        self.killed.store(true, Ordering::SeqCst);
        // Fails only when it has ended already.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Waits until it has ended and released its slot.
    pub(super) async fn exited(&self) -> VmExit {
        let mut exit = self.exit.subscribe();
        let ended = exit.wait_for(Option::is_some).await;
        // The sender is ours, so it outlives the wait.
        ended.ok().and_then(|exit| exit.clone()).expect("the sender lives as long as self")
    }
}

/// Kills its VMM when dropped.
pub(super) struct KillOnDrop(pub(super) Arc<Process>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.signal_kill();
    }
}

/// A microVM in service.
pub(super) struct QemuVm {
    process: KillOnDrop,
    network: Option<GuestNetwork>,
    agent: Mutex<Option<UnixStream>>,
    /// Spoken on only to capture the guest, but QEMU would see it close.
    qmp: tokio::sync::Mutex<Qmp>,
    capture: Option<Transfer>,
}

impl QemuVm {
    /// A VMM whose guest runs.
    pub(super) fn running(launched: Launched) -> Self {
        let Launched { process, network, agent, qmp, capture, .. } = launched;
        let (agent, qmp) = (Mutex::new(Some(agent)), tokio::sync::Mutex::new(qmp));
        Self { process, network, agent, qmp, capture }
    }

    async fn save(&self) -> io::Result<DeviceState> {
        let unsupported = || io::Error::other("its memory is not in a file that can be captured");
        let capture = self.capture.as_ref().ok_or_else(unsupported)?;
        let mut qmp = self.qmp.lock().await;
        qmp.stop().await?;
        qmp.save(capture.set).await?;
        Ok(DeviceState(capture.file.contents()?.into()))
    }
}

#[async_trait]
impl Vm for QemuVm {
    fn pid(&self) -> u32 {
        self.process.0.pid
    }

    fn network(&self) -> Option<GuestNetwork> {
        self.network.clone()
    }

    fn take_agent_stream(&self) -> Option<UnixStream> {
        self.agent.lock().take()
    }

    async fn capture(&self) -> Result<DeviceState, VmError> {
        match tokio::time::timeout(CAPTURE_WAIT_MAX, self.save()).await {
            Ok(captured) => captured.map_err(VmError::Capture),
            Err(_) => Err(VmError::Capture(io::ErrorKind::TimedOut.into())),
        }
    }

    fn weigh_cpu(&self, millis: u32) -> io::Result<()> {
        self.process.0.group.weigh_cpu(millis)
    }

    async fn stats(&self) -> io::Result<VmStats> {
        let read = |name| fs::read_to_string(format!("/proc/{}/{name}", self.process.0.pid));
        let malformed = || io::Error::from(io::ErrorKind::InvalidData);
        Ok(VmStats {
            memory_bytes: own_memory(&read("status")?).ok_or_else(malformed)?,
            cpu: cpu_time(&read("stat")?).ok_or_else(malformed)?,
        })
    }

    async fn kill(&self) {
        self.process.0.signal_kill();
        self.process.0.exited().await;
    }

    async fn exited(&self) -> VmExit {
        self.process.0.exited().await
    }
}

/// From `/proc/PID/status`, in bytes.
fn own_memory(status: &str) -> Option<u64> {
    let kib = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some((kib("RssAnon:")? + kib("RssShmem:")?) * 1024)
}

/// From `/proc/PID/stat`.
fn cpu_time(stat: &str) -> Option<Duration> {
    // The second field is the program's name in parentheses and may hold blanks.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    // Numbered from 1 in proc(5); the first here is field 3.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = field(14)? + field(15)?;
    Some(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stat_with_a_blank_in_the_name() {
        let ticks = rustix::param::clock_ticks_per_second();
        let stat = format!("7 (a b) c) S 1 1 1 0 -1 0 0 0 0 0 {ticks} {ticks} 0 0 20 0 3");
        assert_eq!(cpu_time(&stat), Some(Duration::from_secs(2)));
        assert_eq!(cpu_time("7 (a) S 1"), None);
    }

    #[test]
    fn counts_memory_of_its_own_only() {
        let status = "VmRSS:\t  35 kB\nRssAnon:\t  20 kB\nRssFile:\t  10 kB\nRssShmem:\t  5 kB\n";
        assert_eq!(own_memory(status), Some(25 * 1024));
    }
}
