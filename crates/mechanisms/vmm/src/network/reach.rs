//! What sandboxes may talk to: the public internet, the name servers they are
//! told of, and what the operator opens.

use super::RANGE;
use super::cidr::Cidr;
use super::rules::REFUSE;
use std::net::Ipv4Addr;

/// What no sandbox may talk to, whatever the operator opens, besides the host's
/// own addresses: "this" network, loopback, link-local (cloud metadata services
/// live there), other sandboxes, multicast, reserved.
const FORBIDDEN: &str = "0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3";

/// Networks of the host's owner and provider rather than of the internet, closed
/// unless opened: RFC 1918; RFC 6598, which clouds and overlays use too; and the
/// addresses outside of them at which clouds serve a machine its own settings
/// (IETF's 192.0.0.0/24 at Oracle's, 168.63.129.16 at Microsoft's).
const PRIVATE: &str = "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, \
                       192.0.0.0/24, 168.63.129.16";

/// The operator's part of it, and the host's.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    /// Closed networks that are opened.
    pub(super) allowed: Vec<Cidr>,
    /// Name servers, open for name service wherever they are.
    pub(super) dns: Vec<Ipv4Addr>,
}

impl Reach {
    /// A chain `reach`: refuses what is out of reach, returns from the rest.
    /// `closed` are further closed destinations, in the words of nftables.
    pub(super) fn chain(&self, closed: &str) -> String {
        let mut chain = format!("chain reach {{\nip daddr {{ {FORBIDDEN}, {RANGE} }} {REFUSE}\n");
        for network in &self.allowed {
            chain += &format!("ip daddr {network} return\n");
        }
        for server in &self.dns {
            chain += &format!("ip daddr {server} meta l4proto {{ tcp, udp }} th dport 53 return\n");
        }
        // Refused rather than dropped: a function should fail at once, not hang.
        chain + &format!("ip daddr {{ {PRIVATE} }} {REFUSE}\n{closed}\n}}\n")
    }
}
