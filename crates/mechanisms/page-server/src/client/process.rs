//! The server's process: started, watched, killed.

use crate::fuse::detach;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use tokio::sync::{oneshot, watch};

/// How a page server ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// Its exit status, if it could be had.
    pub status: Option<ExitStatus>,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "the page server ended: {status}"),
            None => f.write_str("the page server ended"),
        }
    }
}

pub(super) struct Process {
    pid: u32,
    pidfd: OwnedFd,
    death: watch::Receiver<Option<Death>>,
}

impl Process {
    /// Starts it, with the other end of the returned socket as its standard
    /// input. Its mount is taken down when it has ended.
    pub(super) async fn start(
        program: PathBuf,
        args: Vec<OsString>,
        mount_point: PathBuf,
    ) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let (tell, death) = watch::channel(None);
        let (started, start) = oneshot::channel();
        // A thread of its own, that lives as long as the server: the server is
        // killed when the thread that started it ends.
        std::thread::Builder::new().name("page-server".into()).spawn(move || {
            let mut child = match spawn(program, args, theirs) {
                Ok((child, pidfd)) => {
                    let _nobody_waits = started.send(Ok((child.id(), pidfd)));
                    child
                }
                Err(error) => {
                    let _nobody_waits = started.send(Err(error));
                    return;
                }
            };
            let status = child.wait();
            if let Err(error) = &status {
                tracing::error!(%error, "a page server cannot be waited for");
            }
            if let Err(error) = detach(&mount_point) {
                tracing::error!(%error, "a page server's mount could not be taken down");
            }
            tell.send_replace(Some(Death { status: status.ok() }));
        })?;
        let (pid, pidfd) = start.await.map_err(io::Error::other)??;
        Ok((Self { pid, pidfd, death }, ours))
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) async fn died(&self) -> Death {
        let mut death = self.death.clone();
        match death.wait_for(Option::is_some).await {
            Ok(death) => death.clone().unwrap_or(Death { status: None }),
            Err(_) => Death { status: None },
        }
    }

    pub(super) fn kill(&self) {
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => tracing::error!(%error, "a page server cannot be killed"),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the program is Hearth's own, given by its path")]
fn spawn(
    program: PathBuf,
    args: Vec<OsString>,
    socket: UnixStream,
) -> io::Result<(Child, OwnedFd)> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::from(OwnedFd::from(socket))).stdout(Stdio::null());
    let mut child = command.spawn()?;
    // It is not waited for yet, so its number is still its own.
    let pid = Pid::from_child(&child);
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok((child, pidfd)),
        Err(error) => {
            child.kill()?;
            child.wait()?;
            Err(error.into())
        }
    }
}
