//! A block of IPv4 addresses, as operators and routing tables name them.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// `ADDRESS/BITS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    first: Ipv4Addr,
    bits: u8,
}

/// A text is not a block of addresses.
#[derive(Debug, thiserror::Error)]
#[error("not a network: write it as 10.0.0.0/8, or one address as 10.1.2.3")]
pub struct CidrError;

impl Cidr {
    /// The block that an address is in. `None` if there are no such blocks.
    pub(super) fn around(address: Ipv4Addr, bits: u8) -> Option<Self> {
        let mask = u32::MAX.checked_shl(32u32.checked_sub(bits.into())?).unwrap_or(0);
        Some(Self { first: Ipv4Addr::from(u32::from(address) & mask), bits })
    }

    /// Length of the prefix that its addresses share.
    pub(super) fn bits(self) -> u8 {
        self.bits
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// A single address is a block of one. Bits beyond the prefix must be zero:
    /// whoever writes them may have meant another block.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
        let address = address.parse().map_err(|_| CidrError)?;
        let block = bits.parse().ok().and_then(|bits| Self::around(address, bits));
        block.filter(|block| block.first == address).ok_or(CidrError)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_and_written() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.168.1.7", "192.168.1.7/32"),
        ] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), shown);
        }
        for text in ["", "10/8", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "::/0", "lan"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
