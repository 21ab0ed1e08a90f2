//! The transport over a virtio-serial port (QEMU).

use crate::error::{During, SetupError};
use crate::transport::Transport;
use crate::watched::watch;
use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fs::{Mode, OFlags, open};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// The port's name, as the VMM's command line gives it.
const PORT_NAME: &str = "agent";
/// How long it may take to appear once its driver is loaded, and how often it
/// is looked for.
const APPEARS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(1);
/// The driver hands over at most one page per read.
const READ_BYTES: usize = 4096;

/// An open port.
///
/// While the worker's end is closed the port is at end-of-file *and* hung up,
/// which level-reporting waits would answer at once, for ever; and tokio never
/// forgets a hang-up. So a hang-up is waited out on an edge-triggered epoll
/// set, after which the port is registered anew.
pub(crate) struct VirtioPort {
    fd: OwnedFd,
    /// Of a second descriptor of the same port, since it may be renewed while
    /// the old one is still waited on.
    registration: Mutex<Arc<AsyncFd<OwnedFd>>>,
}

/// The port's device, once the kernel knows it.
fn find() -> Result<Option<String>, SetupError> {
    let ports = "/sys/class/virtio-ports";
    for entry in fs::read_dir(ports).during(|| format!("list {ports}"))? {
        let entry = entry.during(|| format!("list {ports}"))?;
        let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if name.trim_end() == PORT_NAME {
            return Ok(Some(format!("/dev/{}", entry.file_name().to_string_lossy())));
        }
    }
    Ok(None)
}

impl VirtioPort {
    /// Finds the port by its name; device numbers vary.
    pub(crate) fn open() -> Result<OwnedFd, SetupError> {
        let began = Instant::now();
        loop {
            if let Some(device) = find()? {
                let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
                return open(&device, flags, Mode::empty()).during(|| format!("open {device}"));
            }
            if began.elapsed() > APPEARS_WITHIN {
                return Err(io::Error::from(io::ErrorKind::NotFound))
                    .during(|| format!("find the virtio port \"{PORT_NAME}\""));
            }
            // The device tells of its ports in messages that a kernel thread
            // handles; sysfs offers nothing to wait on.
            std::thread::sleep(LOOK_AGAIN_AFTER);
        }
    }

    /// Wraps an open port; needs the async runtime.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        let registration = Mutex::new(Arc::new(watch(fd.try_clone()?)?));
        Ok(Self { fd, registration })
    }

    fn registration(&self) -> Arc<AsyncFd<OwnedFd>> {
        self.registration.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the port is ready for this moment.
    fn state(&self) -> io::Result<PollFlags> {
        let mut port = [PollFd::new(&self.fd, PollFlags::IN | PollFlags::OUT)];
        poll(&mut port, Some(&Timespec::default()))?;
        Ok(port[0].revents())
    }

    /// Waits until the worker's end is open, without spinning while it is not.
    async fn connected(&self) -> io::Result<()> {
        let edges = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let interest = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&edges, self.fd.as_fd(), epoll::EventData::new_u64(0), interest)?;
        let edges = watch(edges)?;
        while self.state()?.contains(PollFlags::HUP) {
            let mut edge = edges.readable().await?;
            let mut events = Vec::with_capacity(1);
            epoll::wait(
                edges.get_ref(),
                rustix::buffer::spare_capacity(&mut events),
                Some(&Timespec::default()),
            )?;
            edge.clear_ready();
        }
        *self.registration.lock().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(watch(self.fd.try_clone()?)?);
        Ok(())
    }
}

impl Transport for VirtioPort {
    async fn read(&self, into: &mut BytesMut) -> io::Result<usize> {
        let before = into.len();
        loop {
            let registration = self.registration();
            let mut ready = registration.readable().await?;
            let hung_up = ready.ready().is_read_closed();
            into.resize(before + READ_BYTES, 0);
            let result = ready.try_io(|_| {
                Ok(rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut into[before..]))?)
            });
            into.truncate(
                before + *result.as_ref().ok().and_then(|r| r.as_ref().ok()).unwrap_or(&0),
            );
            match result {
                Ok(Ok(n)) if n > 0 => return Ok(n),
                Ok(Err(e)) => return Err(e),
                Err(_would_block) if !hung_up => {}
                _ => self.connected().await?,
            }
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.fd, bytes)?)
    }

    async fn writable(&self) -> io::Result<()> {
        loop {
            let registration = self.registration();
            let mut ready = registration.writable().await?;
            let state = self.state()?;
            if state.contains(PollFlags::HUP) {
                self.connected().await?;
            } else if state.contains(PollFlags::OUT) {
                return Ok(());
            }
            ready.clear_ready();
        }
    }
}
