//! A host on the other side of this one: a network namespace with a listener,
//! so that a test can tell "unreachable" from "nobody there".

use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::process::Command;

/// Its routed address, of a block that is set aside for documentation.
pub const ROUTED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// Its address on the network that the host stands in, of another such block.
pub const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
/// A private address of its.
pub const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 254, 77, 77);
/// Its link-local address, as a cloud's metadata service has one.
pub const LINK_LOCAL: Ipv4Addr = Ipv4Addr::new(169, 254, 77, 77);
const HOST_END: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// The namespace; removed on drop.
pub struct Outside {
    name: String,
    /// Listens on all of its addresses.
    pub listener: TcpListener,
}

impl Outside {
    /// Makes it, a link to it, and routes to its addresses.
    pub fn open() -> Result<Self> {
        let id = std::process::id();
        let name = format!("e2e-{id}");
        let (ours, theirs) = (format!("e2e{id}h"), format!("e2e{id}o"));
        ip(&format!("netns add {name}"))?;
        let made = (|| {
            ip(&format!("link add {ours} type veth peer name {theirs} netns {name}"))?;
            ip(&format!("addr add {HOST_END}/30 dev {ours}"))?;
            ip(&format!("link set {ours} up"))?;
            let addresses = [(NEIGHBOUR, 30), (LINK_LOCAL, 32), (ROUTED, 32), (PRIVATE, 32)];
            for (address, bits) in addresses {
                ip(&format!("-n {name} addr add {address}/{bits} dev {theirs}"))?;
            }
            ip(&format!("-n {name} link set {theirs} up"))?;
            ip(&format!("-n {name} route add default via {HOST_END}"))?;
            ip(&format!("route add {LINK_LOCAL}/32 dev {ours}"))?;
            for address in [ROUTED, PRIVATE] {
                ip(&format!("route add {address}/32 via {NEIGHBOUR}"))?;
            }
            // What comes back from there to a sandbox must be let through.
            let switch = format!("/proc/sys/net/ipv4/conf/{ours}/forwarding");
            std::fs::write(&switch, "1").context(switch)?;
            listen_in(&name)
        })();
        match made {
            Ok(listener) => Ok(Self { name, listener }),
            Err(error) => {
                ip(&format!("netns del {name}"))?;
                Err(error)
            }
        }
    }

    /// The port it listens on.
    pub fn port(&self) -> Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // The link goes with it.
        if let Err(error) = ip(&format!("netns del {}", self.name)) {
            eprintln!("{error:?}");
        }
    }
}

/// A socket stays in the namespace in which it was made, so a thread goes there,
/// makes it and ends.
fn listen_in(netns: &str) -> Result<TcpListener> {
    let namespace = File::open(format!("/run/netns/{netns}"))?;
    let made = std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        anyhow::Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?)
    });
    made.join().expect("nothing there panics")
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().context("ip")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {arguments}: {stderr}");
    Ok(())
}
