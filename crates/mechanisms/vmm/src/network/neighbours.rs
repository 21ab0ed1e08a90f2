//! The networks that the host itself stands in: whoever is there may trust it.

use super::cidr::Cidr;
use super::routes::Route;
use super::rules;
use super::tools::NetworkError;
use std::collections::BTreeSet;

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

    /// Brings the rules up to date with the host's routes.
    pub(super) fn follow(&mut self, routes: &[Route]) -> Result<(), NetworkError> {
        let networks = networks(routes);
        if networks != self.known {
            rules::set_neighbours(&self.table, &networks)?;
            self.known = networks;
        }
        Ok(())
    }
}

/// What is reached without a gateway. A refused network is none, and closing it
/// too changes nothing.
fn networks(routes: &[Route]) -> BTreeSet<Cidr> {
    let direct = routes.iter().filter(|route| route.direct).map(|route| route.to);
    direct.filter(|network| network.bits() >= PREFIX_BITS_MIN).collect()
}

#[cfg(test)]
mod tests {
    use super::super::routes::{parse, tests::TABLE};
    use super::*;

    #[test]
    fn a_tunnel_for_half_of_the_world_is_no_neighbourhood() {
        let expected = ["10.2.0.0/16", "192.0.2.0/24"].map(|network| network.parse().unwrap());
        assert_eq!(networks(&parse(TABLE)), BTreeSet::from(expected));
    }
}
