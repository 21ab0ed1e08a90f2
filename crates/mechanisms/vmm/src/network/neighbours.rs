//! The networks that the host itself stands in: whoever is there may trust it.

use super::cidr::Cidr;
use super::tools::NetworkError;
use super::{INTERFACES, rules};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// A route over a device to more than this is a way out (a tunnel, a dialled
/// line), not a network of neighbours.
const PREFIX_BITS_MIN: u8 = 8;

/// Those that the host's rules know of.
pub(super) struct Neighbours {
    table: String,
    known: BTreeSet<Cidr>,
}

impl Neighbours {
    pub(super) fn new(table: &str) -> Self {
        Self { table: table.to_owned(), known: BTreeSet::new() }
    }

    /// Brings the rules up to date with a routing table.
    pub(super) fn follow(&mut self, routes: &str) -> Result<(), NetworkError> {
        let networks = networks(routes);
        if networks != self.known {
            rules::set_neighbours(&self.table, &networks)?;
            self.known = networks;
        }
        Ok(())
    }
}

/// What is reached without a gateway. `routes` is `/proc/net/route`, whose
/// addresses are in the byte order of the wire, read as the host's numbers.
fn networks(routes: &str) -> BTreeSet<Cidr> {
    let address = |field: &str| {
        u32::from_str_radix(field, 16).ok().map(|number| Ipv4Addr::from(number.to_ne_bytes()))
    };
    let network = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [interface, destination, gateway, _, _, _, _, mask, ..] = fields[..] else {
            return None;
        };
        let ours = interface == "lo" || interface.starts_with(INTERFACES);
        if ours || !address(gateway)?.is_unspecified() {
            return None;
        }
        let bits = u32::from(address(mask)?).count_ones() as u8;
        Cidr::around(address(destination)?, bits)
    };
    routes.lines().skip(1).filter_map(network).filter(|n| n.bits() >= PREFIX_BITS_MIN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_needs_no_gateway() {
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
                      eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                      eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                      eth0\t0000010A\t010200C0\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                      tun0\t00000080\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n\
                      hth3v0\t000012C6\t00000000\t0001\t0\t0\t0\tFEFFFFFF\t0\t0\t0\n";
        assert_eq!(networks(routes), BTreeSet::from(["192.0.2.0/24".parse().unwrap()]));
    }
}
