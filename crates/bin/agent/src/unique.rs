//! What makes one guest differ from every other: random numbers, clock and
//! identity. A clone of a snapshot goes through the same steps as a fresh boot.
#![allow(unsafe_code)]

use crate::error::{During, SetupError};
use crate::mounts::ROOT;
use hearth_agent_proto::{Identity, Network};
use rustix::fs::{Mode, OFlags, open};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

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

/// Gives this guest its randomness, its time and its names, in that order:
/// the names are drawn from the fresh randomness.
pub(crate) fn apply(identity: &Identity) -> Result<(), SetupError> {
    freshen(&identity.entropy, identity.clock_unix_ns)?;
    let hostname = &identity.hostname;
    rustix::system::sethostname(hostname.as_bytes())
        .during(|| format!("set the hostname {hostname:?}"))?;
    for (name, text) in [
        ("machine-id", machine_id().during(|| "draw a machine id".into())?),
        ("hosts", hosts(hostname, identity.network)),
        ("resolv.conf", resolv_conf(identity.network)),
    ] {
        let path = format!("{ROOT}/run/{name}");
        fs::write(&path, text).during(|| format!("write {path}"))?;
    }
    Ok(())
}

/// Gives this guest its randomness and its time only: it is nobody's sandbox yet.
pub(crate) fn freshen(entropy: &[u8; 32], clock_unix_ns: u64) -> Result<(), SetupError> {
    reseed(entropy).during(|| "reseed the random generator".into())?;
    set_clock(clock_unix_ns).during(|| "set the clock".into())
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
fn reseed(entropy: &[u8; 32]) -> io::Result<()> {
    let random = open("/dev/random", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
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
    fn machine_ids_are_32_hex_digits_and_differ() {
        let (a, b) = (machine_id().unwrap(), machine_id().unwrap());
        assert_eq!((a.len(), a.ends_with('\n')), (33, true));
        assert!(a.trim_end().bytes().all(|c| c.is_ascii_hexdigit()));
        assert_ne!(a, b);
    }
}
