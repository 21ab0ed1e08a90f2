//! The jail around a VMM: everything between "start this program" and the
//! program's first instruction.
//!
//! ```text
//!  spawner thread ── clone3(new pid, mount, ipc, uts namespaces) ──┐
//!       │                                                          │ child
//!       │                              cgroup, network namespace, own root,
//!       │                              descriptors, limits, no capabilities,
//!       │                              own uid, death with Hearth, seccomp
//!       │◄──── report pipe: closed = running, bytes = failed step ─┤
//!                                                                  execve
//! ```

mod child;
mod plan;
pub(crate) mod seccomp;
mod spawner;

pub(crate) use plan::{Argv, Bind, Limit, Plan, raise};
pub(crate) use spawner::{Child, Spawner};

use crate::VmError;
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Waits until the child has become the VMM, given the read end of its report
/// pipe.
pub(crate) async fn executed(report: OwnedFd) -> Result<(), VmError> {
    let mut bytes = Vec::new();
    let read = async { pipe::Receiver::from_owned_fd(report)?.read_to_end(&mut bytes).await };
    read.await.map_err(VmError::Spawn)?;
    match bytes[..] {
        [] => Ok(()),
        [step, low, high, ..] => Err(VmError::Jail {
            step: child::STEPS.get(usize::from(step)).copied().unwrap_or("an unknown step"),
            source: io::Error::from_raw_os_error(i32::from(u16::from_le_bytes([low, high]))),
        }),
        _ => Err(VmError::Spawn(io::ErrorKind::UnexpectedEof.into())),
    }
}
