//! Network devices: loopback, and the guest's only way out.
#![allow(unsafe_code)]

use crate::error::{During, SetupError};
use hearth_agent_proto::Network;
use rustix::fs::OFlags;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const LOOPBACK: &str = "lo";
const DEVICE: &str = "eth0";

/// Brings loopback up; the kernel gives it 127.0.0.1 by itself.
pub(crate) fn loopback_up() -> Result<(), SetupError> {
    let socket = socket().during(|| "open a socket".into())?;
    up(&socket, LOOPBACK).during(|| format!("bring up {LOOPBACK}"))
}

/// Gives the device its address and the way out.
pub(crate) fn configure(network: &Network) -> Result<(), SetupError> {
    // Only IPv4 leaves a guest; without this the kernel would send router
    // solicitations for a while after every start.
    let ipv6 = format!("/proc/sys/net/ipv6/conf/{DEVICE}/disable_ipv6");
    match fs::write(&ipv6, "1") {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        other => other.during(|| format!("write {ipv6}"))?,
    }
    let socket = socket().during(|| "open a socket".into())?;
    let mask = netmask(network.prefix_bits);
    set_address(&socket, libc::SIOCSIFADDR, network.address.into())
        .during(|| format!("set the address of {DEVICE}"))?;
    set_address(&socket, libc::SIOCSIFNETMASK, mask)
        .during(|| format!("set the netmask of {DEVICE}"))?;
    up(&socket, DEVICE).during(|| format!("bring up {DEVICE}"))?;
    add_default_route(&socket, network.gateway.into())
        .during(|| format!("route through {}", Ipv4Addr::from(network.gateway)))
}

fn netmask(prefix_bits: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(prefix_bits.min(32))).unwrap_or(0))
}

fn socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | OFlags::CLOEXEC.bits() as libc::c_int;
    // SAFETY: plain system call.
    let fd = unsafe { libc::socket(libc::AF_INET, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is fresh and ours alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn request(device: &str) -> libc::ifreq {
    // SAFETY: all-zero is a valid `ifreq`: integers, arrays and null pointers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()).take(libc::IFNAMSIZ - 1) {
        *to = from as libc::c_char;
    }
    request
}

fn up(socket: &OwnedFd, device: &str) -> io::Result<()> {
    let mut request = request(device);
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    control(socket, libc::SIOCSIFFLAGS, &raw const request)
}

fn set_address(socket: &OwnedFd, what: libc::c_ulong, address: Ipv4Addr) -> io::Result<()> {
    let mut request = request(DEVICE);
    request.ifr_ifru.ifru_addr = sockaddr(address);
    control(socket, what, &raw const request)
}

fn add_default_route(socket: &OwnedFd, gateway: Ipv4Addr) -> io::Result<()> {
    // SAFETY: all-zero is a valid `rtentry`, and means "to anywhere".
    let mut route: libc::rtentry = unsafe { std::mem::zeroed() };
    route.rt_dst = sockaddr(Ipv4Addr::UNSPECIFIED);
    route.rt_genmask = sockaddr(Ipv4Addr::UNSPECIFIED);
    route.rt_gateway = sockaddr(gateway);
    route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
    control(socket, libc::SIOCADDRT, &raw const route)
}

/// `address` in the shape that these requests take it.
fn sockaddr(address: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0 as libc::c_char; 14];
    for (to, from) in data[2..].iter_mut().zip(address.octets()) {
        *to = from as libc::c_char;
    }
    libc::sockaddr { sa_family: libc::AF_INET as libc::sa_family_t, sa_data: data }
}

fn control<T>(socket: &OwnedFd, what: libc::c_ulong, argument: *const T) -> io::Result<()> {
    // SAFETY: the callers above pair each request with the structure it reads.
    if unsafe { libc::ioctl(socket.as_raw_fd(), what as libc::Ioctl, argument) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netmasks() {
        assert_eq!(netmask(0), Ipv4Addr::new(0, 0, 0, 0));
        assert_eq!(netmask(30), Ipv4Addr::new(255, 255, 255, 252));
        assert_eq!(netmask(32), Ipv4Addr::new(255, 255, 255, 255));
    }
}
