//! A process of this host that nobody else is taken for: by its number and the moment at
//! which it started, since numbers are used again.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

/// A process that was seen alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pid: u32,
    /// In ticks since the host booted, as the kernel tells it.
    started: u64,
}

impl Process {
    /// The process of this number, if it lives.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // A name may have blanks and brackets in it; what follows the last has none.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        if matches!(state, "Z" | "X") {
            return None;
        }
        // The 22nd field of all; the state is the third.
        let started = fields.nth(18)?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// Whether it is still there.
    pub(crate) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Asks it to end. Between the look and the signal it may end by itself and its number
    /// be used again, which takes the kernel a whole round of numbers.
    pub(crate) fn terminate(self) -> std::io::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Ends it.
    pub(crate) fn kill(self) -> std::io::Result<()> {
        self.signal(Signal::KILL)
    }

    fn signal(self, signal: Signal) -> std::io::Result<()> {
        match number(self.pid) {
            Some(pid) if self.is_alive() => Ok(kill_process(pid, signal)?),
            _ => Ok(()),
        }
    }
}

/// Ends a group of processes that was made here.
pub(crate) fn kill_group(leader: u32) {
    let killed = number(leader).map(|pid| kill_process_group(pid, Signal::KILL));
    if let Some(Err(error)) = killed {
        tracing::debug!(leader, %error, "a group of processes was gone already");
    }
}

fn number(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_when_it_started() {
        let me = Process::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        assert!(!Process { started: me.started + 1, ..me }.is_alive());
        assert_eq!(Process::of(u32::MAX), None);
    }
}
