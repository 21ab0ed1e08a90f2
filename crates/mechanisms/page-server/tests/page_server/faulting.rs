//! A process whose memory is served: it makes a userfaultfd for some memory of
//! its own, hands it over, and does what it is told.
//!
//! ```text
//!  standard input (a socket) ◄── touch 1,2,3 │ remove 4,5
//!                            ──► the userfaultfd, with the memory's address
//!  standard output           ──► micros, and a sum for each page touched
//! ```
#![allow(unsafe_code)]

use crate::common::{PAGE, sum};
use hearth_page_server::FaultRegion;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Instant;

/// Threads that fault at the same time.
const THREADS: usize = 4;

/// The process, as its test has it.
pub(crate) struct Faulting {
    child: Child,
    orders: UnixStream,
    said: BufReader<ChildStdout>,
    uffd: Option<OwnedFd>,
    address: u64,
    len: u64,
}

impl Faulting {
    pub(crate) fn start(pages: usize) -> anyhow::Result<Self> {
        let (orders, theirs) = UnixStream::pair()?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["fault", &pages.to_string()])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .spawn()?;
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut address = [0; 8];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut with = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(&mut address)];
        recvmsg(&orders, into, &mut with, RecvFlags::CMSG_CLOEXEC)?;
        let uffd = with.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        let (address, len) = (u64::from_ne_bytes(address), (pages * PAGE) as u64);
        Ok(Self { child, orders, said, uffd, address, len })
    }

    pub(crate) fn uffd(&mut self) -> OwnedFd {
        self.uffd.take().unwrap()
    }

    pub(crate) fn regions(&self) -> Vec<FaultRegion> {
        vec![FaultRegion { address: self.address, offset: 0, len: self.len }]
    }

    /// Has it touch pages; the microseconds, and each page's sum.
    pub(crate) fn touch(&mut self, pages: &[usize]) -> std::io::Result<(u64, Vec<u64>)> {
        let answer = self.order("touch", pages)?;
        let mut numbers = answer.split_whitespace().map(|number| number.parse().unwrap());
        let micros = numbers.next().ok_or(std::io::ErrorKind::UnexpectedEof)?;
        Ok((micros, numbers.collect()))
    }

    pub(crate) fn remove(&mut self, pages: &[usize]) -> std::io::Result<()> {
        self.order("remove", pages).map(drop)
    }

    fn order(&mut self, what: &str, pages: &[usize]) -> std::io::Result<String> {
        let list: Vec<_> = pages.iter().map(ToString::to_string).collect();
        writeln!(self.orders, "{what} {}", list.join(","))?;
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        Ok(line)
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> std::io::Result<ExitStatus> {
        drop(self.orders);
        self.child.wait()
    }
}

#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct Register {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

const UFFDIO_API: libc::Ioctl = 0xc018_aa3f;
const UFFDIO_REGISTER: libc::Ioctl = 0xc020_aa00;
const API: u64 = 0xaa;
const FEATURE_EVENT_REMOVE: u64 = 1 << 3;
const MODE_MISSING: u64 = 1;

fn userfaultfd(address: u64, len: u64) -> OwnedFd {
    // SAFETY: makes a descriptor, which is nobody else's.
    let fd = unsafe {
        let fd = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC);
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd as i32)
    };
    let mut api = Api { api: API, features: FEATURE_EVENT_REMOVE, ioctls: 0 };
    let mut register = Register { start: address, len, mode: MODE_MISSING, ioctls: 0 };
    // SAFETY: each request gets what it takes; the memory is a mapping of ours.
    unsafe {
        assert_eq!(libc::ioctl(fd.as_raw_fd(), UFFDIO_API, &raw mut api), 0);
        assert_eq!(libc::ioctl(fd.as_raw_fd(), UFFDIO_REGISTER, &raw mut register), 0);
    }
    fd
}

/// The process itself.
pub(crate) fn play() {
    let pages: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let len = pages * PAGE;
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping.
    let memory =
        unsafe { mmap_anonymous(std::ptr::null_mut(), len, prot, MapFlags::PRIVATE).unwrap() };
    let address = memory as usize;
    let uffd = userfaultfd(address as u64, len as u64);
    let orders = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let fds = [uffd.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut with = SendAncillaryBuffer::new(&mut space);
    assert!(with.push(SendAncillaryMessage::ScmRights(&fds)));
    let bytes = (address as u64).to_ne_bytes();
    sendmsg(&orders, &[IoSlice::new(&bytes)], &mut with, SendFlags::empty()).unwrap();
    for order in BufReader::new(orders).lines() {
        let order = order.unwrap();
        let (what, list) = order.split_once(' ').unwrap();
        let pages: Vec<usize> = list.split(',').map(|page| page.parse().unwrap()).collect();
        assert!(pages.iter().all(|page| page * PAGE < len));
        match what {
            "touch" => println!("{}", touch(address, &pages)),
            _ => {
                for page in pages {
                    let at = (address + page * PAGE) as *mut _;
                    // SAFETY: in the mapping, of which nobody holds a reference.
                    unsafe { madvise(at, PAGE, Advice::LinuxDontNeed).unwrap() };
                }
                println!("removed");
            }
        }
    }
}

fn touch(address: usize, pages: &[usize]) -> String {
    // SAFETY: in the mapping, which is only read.
    let page = |page: &usize| unsafe {
        std::slice::from_raw_parts((address + page * PAGE) as *const u8, PAGE)
    };
    let began = Instant::now();
    std::thread::scope(|scope| {
        for part in pages.chunks(pages.len().div_ceil(THREADS)) {
            scope.spawn(|| part.iter().map(|at| u64::from(page(at)[0])).sum::<u64>());
        }
    });
    let micros = began.elapsed().as_micros();
    let sums: Vec<_> = pages.iter().map(|at| sum(page(at)).to_string()).collect();
    format!("{micros} {}", sums.join(" "))
}
