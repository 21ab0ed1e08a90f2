//! A front end as the command line names it: `NODE=HOST:PORT`.

use hearth_types::NodeName;
use std::str::FromStr;

/// Where a node serves the Lambda API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FrontEnd {
    /// The node.
    pub(super) node: NodeName,
    /// Its address, as HAProxy takes it.
    pub(super) address: String,
}

/// The text names no front end.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidFrontEnd {
    /// It has another form.
    #[error("write NODE=ADDR:PORT, as in node-1=10.0.0.1:9070")]
    Form,
    /// It is the name of no node.
    #[error(transparent)]
    Node(#[from] hearth_types::InvalidNodeName),
}

impl FromStr for FrontEnd {
    type Err = InvalidFrontEnd;

    fn from_str(text: &str) -> Result<Self, InvalidFrontEnd> {
        let (node, address) = text.split_once('=').ok_or(InvalidFrontEnd::Form)?;
        let node = node.parse()?;
        match is_address(address) {
            true => Ok(Self { node, address: address.to_owned() }),
            false => Err(InvalidFrontEnd::Form),
        }
    }
}

/// A host and a port. Nothing else must get into the configuration: a blank or a line's
/// end would say more there.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_name = |host: &str| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
        !host.is_empty() && host.bytes().all(legal) && !host.starts_with(['-', '.'])
    };
    let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match v6 {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok_and(|ip| !ip.is_unspecified()),
        None => is_name(host) && host != "0.0.0.0",
    };
    is_host && port.parse().is_ok_and(|port: u16| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_end_is_a_node_and_where_it_can_be_reached() {
        for good in ["n=10.0.0.1:9070", "n=[fd00::1]:1", "node-1=node-1.example:65535"] {
            let parsed: FrontEnd = good.parse().unwrap();
            assert_eq!(format!("{}={}", parsed.node, parsed.address), good);
        }
        for bad in [
            "n",
            "n=",
            "n=1.2.3.4",
            "n=1.2.3.4:0",
            "n=1.2.3.4:70000",
            "n=:80",
            "N=1.2.3.4:80",
            "n=[fd00::]]:1",
            "n=fd00::1:80",
            "n=0.0.0.0:80",
            "n=[::]:80",
            "n=a b:80",
            "n=a\n:80",
            "n=a:80 weight 0",
            "n=a#:80",
            "n=${HOME}:80",
            "=a:80",
            "n=/sock:80",
            "n=-a:80",
        ] {
            assert!(bad.parse::<FrontEnd>().is_err(), "{bad:?}");
        }
    }
}
