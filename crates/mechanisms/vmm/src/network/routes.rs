//! The host's routes, as far as rules depend on them.

use super::INTERFACES;
use super::cidr::Cidr;
use super::tools::{NetworkError, read};
use std::net::Ipv4Addr;

/// Where those of the calling thread's network namespace are.
const ROUTES: &str = "/proc/thread-self/net/route";

/// One route, not to a sandbox nor to the host itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The interface that it leads over; none for a route that refuses.
    pub(super) interface: Option<String>,
    /// Whom it leads to.
    pub(super) to: Cidr,
    /// Whether they are reached without a gateway.
    pub(super) direct: bool,
}

/// The routes there are now.
pub(super) fn current() -> Result<Vec<Route>, NetworkError> {
    Ok(parse(&read(ROUTES)?))
}

/// `text` is a heading and a line for each, whose addresses are in the byte order
/// of the wire, read as the host's numbers.
pub(super) fn parse(text: &str) -> Vec<Route> {
    let address = |field: &str| {
        u32::from_str_radix(field, 16).ok().map(|number| Ipv4Addr::from(number.to_ne_bytes()))
    };
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [interface, destination, gateway, _, _, _, _, mask, ..] = fields[..] else {
            return None;
        };
        if interface == "lo" || interface.starts_with(INTERFACES) {
            return None;
        }
        let bits = u32::from(address(mask)?).count_ones() as u8;
        Some(Route {
            interface: (interface != "*").then(|| interface.to_owned()),
            to: Cidr::around(address(destination)?, bits)?,
            direct: address(gateway)?.is_unspecified(),
        })
    };
    text.lines().skip(1).filter_map(route).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A way out, the network it is in, one behind another gateway, a tunnel for
    /// half of the world, a refusal, and a sandbox's link.
    pub(in super::super) const TABLE: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
         eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
         eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
         eth1\t0000010A\t010200C0\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
         tun0\t00000080\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n\
         *\t0000020A\t00000000\t0200\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
         hth3v0\t000012C6\t00000000\t0001\t0\t0\t0\tFEFFFFFF\t0\t0\t0\n";

    #[test]
    fn reads_what_the_kernel_writes() {
        let read: Vec<_> = parse(TABLE)
            .iter()
            .map(|r| (r.interface.clone().unwrap_or_default(), r.to.to_string(), r.direct))
            .collect();
        let expected = [
            ("eth0", "0.0.0.0/0", false),
            ("eth0", "192.0.2.0/24", true),
            ("eth1", "10.1.0.0/16", false),
            ("tun0", "128.0.0.0/1", true),
            ("", "10.2.0.0/16", true),
        ];
        assert_eq!(read, expected.map(|(i, to, direct)| (i.to_owned(), to.to_owned(), direct)));
        assert_eq!(parse("Iface\tDestination\nshort\tline\n"), []);
    }
}
