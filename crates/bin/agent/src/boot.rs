//! From the kernel's first instruction in user space to the session.

use crate::error::{During, SetupError};
use crate::guest::Guest;
use crate::machine::Machine;
use crate::session::{self, SessionError};
use crate::virtio_port::VirtioPort;
use crate::{modules, mounts, priority};
use rustix::fs::{Mode, OFlags, open};
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Where the Runtime API listens: on loopback, out of the network's reach.
const RUNTIME_API: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 9001);

/// Why the guest cannot go on.
#[derive(Debug, thiserror::Error)]
enum BootError {
    /// It never got as far as speaking to the worker.
    #[error("the guest did not boot")]
    Setup(#[from] SetupError),
    /// The session ended.
    #[error("the session ended")]
    Session(#[from] SessionError),
}

/// Boots and serves; returns only when the guest is of no more use.
///
/// Whatever ends the agent ends the guest: the kernel panics without pid 1,
/// reboots (`panic=-1`), and the VMM exits.
pub fn run() -> i32 {
    match boot() {
        Ok(()) => 0,
        Err(error) => {
            last_words(&error);
            1
        }
    }
}

fn boot() -> Result<(), BootError> {
    mounts::kernel_file_systems()?;
    standard_streams()?;
    // The agent is the last process to die for want of memory.
    fs::write("/proc/self/oom_score_adj", "-1000").during(|| "spare the agent".into())?;
    modules::load()?;
    let port = VirtioPort::open()?;
    let guest = Machine::boot().map(|machine| Arc::new(machine) as Arc<dyn Guest>);
    // Only now: what is done above waits for the kernel's own threads.
    priority::above_functions().during(|| "rank the agent first".into())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .during(|| "start the event loop".into())?;
    runtime.block_on(async {
        let port = VirtioPort::new(port).during(|| "watch the port".into())?;
        let listener =
            TcpListener::bind(RUNTIME_API).await.during(|| format!("listen on {RUNTIME_API:?}"))?;
        Ok(session::run(port, listener, guest, uptime_us()).await?)
    })
}

/// Opens 0, 1 and 2 where the kernel gave none, lest other files take those
/// numbers.
fn standard_streams() -> Result<(), SetupError> {
    loop {
        let null = open("/dev/null", OFlags::RDWR, Mode::empty());
        let null = null.during(|| "open /dev/null".into())?;
        if null.as_raw_fd() > 2 {
            return Ok(());
        }
        std::mem::forget(null);
    }
}

fn uptime_us() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

/// Leaves the reason on the kernel's console, for whoever debugs a guest.
fn last_words(error: &BootError) {
    let mut text = format!("hearth-agent: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    // Nobody is left to tell if this fails too.
    drop::<io::Result<()>>(fs::write("/dev/kmsg", text));
}
