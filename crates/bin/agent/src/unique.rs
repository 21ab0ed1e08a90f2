//! What makes one guest differ from every other: random numbers, clock and
//! identity. A clone of a snapshot goes through the same steps as a fresh boot.
#![allow(unsafe_code)]

use crate::error::{During, SetupError};
use crate::mounts::ROOT;
use hearth_agent_proto::{Identity, Network};
use rustix::fs::{Mode, OFlags, open};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, OnceLock, PoisonError};

/// A clock nearer to the worker's than this is left alone: setting it costs
/// more than most invokes, and network time is no better.
const CLOCK_ERROR_NS_MAX: u64 = 20_000_000;

// From the kernel's `linux/random.h`.
const RNDADDENTROPY: libc::Ioctl = 0x4008_5203;
const RNDRESEEDCRNG: libc::Ioctl = 0x5207;

/// `struct rand_pool_info` with its bytes.
#[repr(C)]
struct PoolInfo {
    entropy_bits: libc::c_int,
    bytes: libc::c_int,
    buffer: [u8; 32],
}

/// What a guest is made unique through. Opened beforehand: a clone does this before
/// all else, and whatever it does first takes it long.
pub(crate) struct Uniqueness {
    random: OwnedFd,
    /// There once the function's root is.
    names: OnceLock<Mutex<Names>>,
}

struct Names {
    machine_id: NameFile,
    hosts: NameFile,
    resolv_conf: NameFile,
}

impl Uniqueness {
    /// Before there is a root for the function.
    pub(crate) fn open() -> Result<Self, SetupError> {
        let path = "/dev/random";
        let random = open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .during(|| format!("open {path}"))?;
        Ok(Self { random, names: OnceLock::new() })
    }

    /// Makes the files in the function's root that say who it is.
    pub(crate) fn make_names(&self) -> Result<(), SetupError> {
        let file = |name| NameFile::create(format!("{ROOT}/run/{name}"));
        let names = Names {
            machine_id: file("machine-id")?,
            hosts: file("hosts")?,
            resolv_conf: file("resolv.conf")?,
        };
        // There is one root, and it is made once.
        drop(self.names.set(Mutex::new(names)));
        Ok(())
    }

    /// Gives this guest its randomness, its time and its names, in that order:
    /// the names are drawn from the fresh randomness.
    pub(crate) fn apply(&self, identity: &Identity) -> Result<(), SetupError> {
        self.freshen(&identity.entropy, identity.clock_unix_ns)?;
        let hostname = &identity.hostname;
        rustix::system::sethostname(hostname.as_bytes())
            .during(|| format!("set the hostname {hostname:?}"))?;
        let names = self.names.get().ok_or_else(|| io::Error::other("it has no root"));
        let mut names = names
            .during(|| "name the sandbox".into())?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        names.machine_id.say(machine_id().during(|| "draw a machine id".into())?)?;
        names.hosts.say(hosts(hostname, identity.network))?;
        names.resolv_conf.say(resolv_conf(identity.network))
    }

    /// Gives this guest its randomness and its time only: it is nobody's sandbox yet.
    pub(crate) fn freshen(&self, entropy: &[u8; 32], clock_unix_ns: u64) -> Result<(), SetupError> {
        reseed(&self.random, entropy).during(|| "reseed the random generator".into())?;
        set_clock(clock_unix_ns).during(|| "set the clock".into())
    }
}

/// A file that says one short text.
struct NameFile {
    path: String,
    file: File,
    text: String,
}

impl NameFile {
    fn create(path: String) -> Result<Self, SetupError> {
        let file = File::create(&path).during(|| format!("make {path}"))?;
        Ok(Self { path, file, text: String::new() })
    }

    /// Has it say this; nothing is written that it says already.
    fn say(&mut self, text: String) -> Result<(), SetupError> {
        let write = || -> io::Result<()> {
            if text == self.text {
                return Ok(());
            }
            self.file.write_all_at(text.as_bytes(), 0)?;
            if text.len() < self.text.len() {
                self.file.set_len(text.len() as u64)?;
            }
            Ok(())
        };
        write().during(|| format!("write {}", self.path))?;
        self.text = text;
        Ok(())
    }
}

/// Corrects the clock if it has drifted; a suspended guest's stands still.
pub(crate) fn correct_clock(unix_ns: u64) -> io::Result<()> {
    let now = clock_gettime(ClockId::Realtime);
    let now_ns = now.tv_sec as i128 * 1_000_000_000 + i128::from(now.tv_nsec);
    if now_ns.abs_diff(i128::from(unix_ns)) > u128::from(CLOCK_ERROR_NS_MAX) {
        set_clock(unix_ns)?;
    }
    Ok(())
}

fn set_clock(unix_ns: u64) -> io::Result<()> {
    let time = Timespec {
        tv_sec: (unix_ns / 1_000_000_000) as i64,
        tv_nsec: (unix_ns % 1_000_000_000) as i64,
    };
    Ok(clock_settime(ClockId::Realtime, time)?)
}

/// Adds entropy, then has the generator use it at once: without the second
/// step the clones of a snapshot go on drawing the same numbers.
fn reseed(random: &OwnedFd, entropy: &[u8; 32]) -> io::Result<()> {
    let info =
        PoolInfo { entropy_bits: 256, bytes: entropy.len() as libc::c_int, buffer: *entropy };
    // SAFETY: the request reads a `rand_pool_info` whose length it carries.
    if unsafe { libc::ioctl(random.as_raw_fd(), RNDADDENTROPY, &raw const info) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the request takes no argument.
    if unsafe { libc::ioctl(random.as_raw_fd(), RNDRESEEDCRNG) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn machine_id() -> io::Result<String> {
    let mut id = [0u8; 16];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
    Ok(id.iter().map(|byte| format!("{byte:02x}")).chain(["\n".to_owned()]).collect())
}

fn hosts(hostname: &str, network: Option<Network>) -> String {
    let own = network.map_or(Ipv4Addr::LOCALHOST, |n| n.address.into());
    format!("127.0.0.1 localhost\n{own} {hostname}\n")
}

fn resolv_conf(network: Option<Network>) -> String {
    network.map(|n| format!("nameserver {}\n", Ipv4Addr::from(n.dns))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_network() {
        let network = Network {
            address: [10, 0, 0, 2],
            prefix_bits: 30,
            gateway: [10, 0, 0, 1],
            dns: [10, 0, 0, 1],
        };
        assert_eq!(hosts("sb", Some(network)), "127.0.0.1 localhost\n10.0.0.2 sb\n");
        assert_eq!(hosts("sb", None), "127.0.0.1 localhost\n127.0.0.1 sb\n");
        assert_eq!(resolv_conf(Some(network)), "nameserver 10.0.0.1\n");
        assert_eq!(resolv_conf(None), "");
    }

    #[test]
    fn a_name_file_says_the_last_text_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("name");
        let mut file = NameFile::create(path.to_str().unwrap().into()).unwrap();
        for text in ["a longer name", "short", "short", "", "longer than any"] {
            file.say(text.into()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn machine_ids_are_32_hex_digits_and_differ() {
        let (a, b) = (machine_id().unwrap(), machine_id().unwrap());
        assert_eq!((a.len(), a.ends_with('\n')), (33, true));
        assert!(a.trim_end().bytes().all(|c| c.is_ascii_hexdigit()));
        assert_ne!(a, b);
    }
}
