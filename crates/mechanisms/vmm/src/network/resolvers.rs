//! Name servers for guests: those of the host that a guest can reach.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// As many as libc uses.
const RESOLVERS_MAX: usize = 3;
/// Where a local caching resolver (systemd's) keeps the real ones.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// From the first file that names one. A resolver on the host itself or at a
/// link-local address is none: no guest may talk to those.
pub(super) fn reachable_by_guests() -> Vec<Ipv4Addr> {
    FILES
        .iter()
        .map(|file| servers_in(&fs::read_to_string(file).unwrap_or_default(), is_the_hosts))
        .find(|servers| !servers.is_empty())
        .unwrap_or_default()
}

fn servers_in(resolv_conf: &str, is_the_hosts: impl Fn(Ipv4Addr) -> bool) -> Vec<Ipv4Addr> {
    resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| match rest.trim().parse() {
            Ok(IpAddr::V4(address)) => Some(address),
            _ => None,
        })
        .filter(|a| !a.is_loopback() && !a.is_link_local() && !a.is_unspecified())
        .filter(|a| !is_the_hosts(*a))
        .take(RESOLVERS_MAX)
        .collect()
}

/// Only an address of one's own can be bound.
fn is_the_hosts(address: Ipv4Addr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_what_guests_cannot_reach() {
        let file = "# a comment\nnameserver 127.0.0.53\nnameserver 169.254.169.254\n\
                    nameserver fe80::1\nnameserver 192.0.2.7\n nameserver\t192.0.2.8\noptions edns0\n";
        let found = servers_in(file, |a| a == Ipv4Addr::new(192, 0, 2, 7));
        assert_eq!(found, [Ipv4Addr::new(192, 0, 2, 8)]);
    }

    #[test]
    fn knows_the_hosts_own_addresses() {
        assert!(is_the_hosts(Ipv4Addr::LOCALHOST));
        assert!(!is_the_hosts(Ipv4Addr::new(198, 51, 100, 1)));
    }
}
