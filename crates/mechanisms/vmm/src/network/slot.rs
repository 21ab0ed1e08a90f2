//! One slot's network: a namespace with a tap for the guest and a veth pair to
//! the host.
//!
//! A thread of its own makes them, as it has to change namespace for it.
#![allow(unsafe_code)]

use super::tools::{self, NetworkError, ip, nft};
use super::{GUEST_GATEWAY, GUEST_PREFIX_BITS, Names, conntrack};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::mpsc;
use tokio::sync::oneshot;

/// Orders waiting for the thread: one slot made and a few taken down at a time.
const QUEUE_MAX: usize = 1024;

/// A slot's network. Gone when this is dropped and its VMM has ended, except
/// that the host's interface lingers a moment: [`Maker::take_down`] waits for it.
pub(crate) struct SlotNetwork {
    namespace: OwnedFd,
    tap: OwnedFd,
    interface: String,
    address: Ipv4Addr,
}

impl SlotNetwork {
    /// The namespace.
    pub(crate) fn netns(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// The tap device, for the VMM.
    pub(crate) fn tap(&self) -> &OwnedFd {
        &self.tap
    }
}

enum Order {
    Make(u32, oneshot::Sender<Result<SlotNetwork, NetworkError>>),
    TakeDown(SlotNetwork, oneshot::Sender<()>),
}

/// Handle to the thread.
pub(super) struct Maker {
    orders: mpsc::SyncSender<Order>,
}

impl Maker {
    /// `rules` are those inside every slot's namespace.
    pub(super) fn start(names: Names, rules: String, mtu: u32) -> Result<Self, NetworkError> {
        let (orders, queue) = mpsc::sync_channel(QUEUE_MAX);
        let host: OwnedFd =
            File::open("/proc/thread-self/ns/net").map_err(NetworkError::Namespace)?.into();
        std::thread::Builder::new()
            .name("vmm-network".into())
            .spawn(move || {
                while let Ok(order) = queue.recv() {
                    match order {
                        Order::Make(slot, done) => {
                            // Nobody waiting any more: the network is dropped.
                            let _ = done.send(make(&host, &names, &rules, slot, mtu));
                        }
                        Order::TakeDown(network, done) => {
                            take_down(network);
                            let _ = done.send(());
                        }
                    }
                }
            })
            .map_err(NetworkError::Namespace)?;
        Ok(Self { orders })
    }

    pub(super) async fn make(&self, slot: u32) -> Result<SlotNetwork, NetworkError> {
        let (done, made) = oneshot::channel();
        self.orders.try_send(Order::Make(slot, done)).map_err(|_| NetworkError::Gone)?;
        made.await.map_err(|_| NetworkError::Gone)?
    }

    pub(super) async fn take_down(&self, network: SlotNetwork) {
        let (done, gone) = oneshot::channel();
        // On a full queue the network is dropped right here, which is enough.
        if self.orders.try_send(Order::TakeDown(network, done)).is_ok() {
            let _ = gone.await;
        }
    }
}

fn take_down(network: SlotNetwork) {
    let SlotNetwork { namespace, tap, interface, address } = network;
    drop((namespace, tap));
    // The kernel removes it with the namespace, but some time later.
    if let Err(error) = ip(&format!("link del {interface}\n")) {
        tracing::debug!(%error, interface, "already gone");
    }
    // Only now, when nothing can come from there any more.
    if let Err(error) = conntrack::forget(address) {
        tracing::warn!(%error, %address, "a sandbox's connections could not be forgotten");
    }
}

fn make(
    host: &OwnedFd,
    names: &Names,
    rules: &str,
    slot: u32,
    mtu: u32,
) -> Result<SlotNetwork, NetworkError> {
    let interface = names.interface(slot);
    let (host_address, slot_address) = names.link(slot);
    // SAFETY: unsharing the network namespace touches no memory or descriptor
    // of this process.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
        .map_err(|e| NetworkError::Namespace(e.into()))?;
    let inside = (|| {
        let namespace: OwnedFd =
            File::open("/proc/thread-self/ns/net").map_err(NetworkError::Namespace)?.into();
        tools::write("/proc/sys/net/ipv4/ip_forward", "1")?;
        if std::path::Path::new("/proc/sys/net/ipv6").exists() {
            for scope in ["all", "default"] {
                tools::write(&format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1")?;
            }
        }
        let tap = tap("tap0")?;
        ip(&format!(
            "link add up0 mtu {mtu} type veth peer name {interface} mtu {mtu} netns {host}\n\
             addr add {slot_address}/31 dev up0\n\
             addr add {GUEST_GATEWAY}/{GUEST_PREFIX_BITS} dev tap0\n\
             link set tap0 mtu {mtu} up\n\
             link set up0 up\n\
             route add default via {host_address}\n",
            host = format_args!("/proc/{}/fd/{}", std::process::id(), host.as_raw_fd()),
        ))?;
        nft(rules)?;
        Ok((namespace, tap))
    })();
    rustix::thread::move_into_link_name_space(host.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|e| NetworkError::Namespace(e.into()))?;
    let (namespace, tap) = inside?;
    if std::path::Path::new("/proc/sys/net/ipv6").exists() {
        tools::write(&format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"), "1")?;
    }
    tools::write(&format!("/proc/sys/net/ipv4/conf/{interface}/forwarding"), "1")?;
    ip(&format!("addr add {host_address}/31 dev {interface}\nlink set {interface} up\n"))?;
    Ok(SlotNetwork { namespace, tap, interface, address: slot_address })
}

/// Largest packet that an interface of this namespace takes.
pub(super) fn mtu(interface: &str) -> io::Result<u32> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    let mut request = ifreq(interface);
    // SAFETY: SIOCGIFMTU reads and writes one ifreq, and leaves the number in it.
    unsafe {
        match libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU, &mut request) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(request.ifr_ifru.ifru_mtu as u32),
        }
    }
}

/// A request about the interface of that name.
fn ifreq(name: &str) -> libc::ifreq {
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // Leaves at least the last byte 0.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

/// Makes a tap device in the thread's namespace; it lives as long as the
/// descriptor.
fn tap(name: &str) -> Result<OwnedFd, NetworkError> {
    let tun = File::options().read(true).write(true).open("/dev/net/tun");
    let tun = tun.map_err(NetworkError::NoTun)?;
    let mut request = ifreq(name);
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as i16;
    // SAFETY: TUNSETIFF reads and writes one ifreq.
    if unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, &mut request) } < 0 {
        return Err(NetworkError::NoTun(io::Error::last_os_error()));
    }
    Ok(tun.into())
}
