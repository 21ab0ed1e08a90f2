//! Which nodes should lead and follow a partition. All nodes compute the same from the
//! same membership, and a node that comes or goes moves as little as can be (rendezvous
//! hashing, Thaler and Ravishankar 1998).

use hearth_services::cluster::{NodeRecord, Role};
use hearth_types::{NodeName, Partition, ZoneName};
use std::collections::BTreeSet;

/// Followers of a partition, beside its leader.
pub const FOLLOWERS: usize = 2;

/// The nodes that can lead, best first: the first should lead, the next
/// [`FOLLOWERS`] follow, and these are in other zones as long as there are any.
pub fn ranked<'a>(
    partition: Partition,
    nodes: impl IntoIterator<Item = &'a NodeRecord>,
) -> Vec<NodeName> {
    let able = nodes.into_iter().filter(|node| node.roles.contains(&Role::Assignment));
    let mut left: Vec<(u64, &NodeRecord)> =
        able.map(|node| (weight(partition, &node.name), node)).collect();
    left.sort_by(|a, b| (b.0, &b.1.name).cmp(&(a.0, &a.1.name)));
    let mut zones: BTreeSet<&ZoneName> = BTreeSet::new();
    let mut ranked = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let elsewhere = left.iter().position(|(_, node)| !zones.contains(&node.zone));
        let (_, node) = left.remove(elsewhere.unwrap_or(0));
        zones.insert(&node.zone);
        ranked.push(node.name.clone());
    }
    ranked
}

fn weight(partition: Partition, node: &NodeName) -> u64 {
    let hash = blake3::hash(format!("{partition}/{node}").as_bytes());
    let mut head = [0; 8];
    head.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_types::{NodeLife, Timestamp};
    use std::collections::HashMap;

    fn node(name: &str, zone: &str) -> NodeRecord {
        NodeRecord {
            name: name.parse().unwrap(),
            life: NodeLife::new(),
            zone: zone.parse().unwrap(),
            roles: [Role::Assignment].into(),
            address: String::new(),
            worker: None,
            lease: 0,
            started: Timestamp(0),
            version: String::new(),
        }
    }

    #[test]
    fn leaders_spread_over_nodes_and_followers_over_zones() {
        let nodes: Vec<NodeRecord> =
            (0..9).map(|n| node(&format!("n{n}"), ["a", "b", "c"][n % 3])).collect();
        let zone = |name: &NodeName| &nodes.iter().find(|n| n.name == *name).unwrap().zone;
        let mut led: HashMap<NodeName, u32> = HashMap::new();
        for p in 0..900 {
            let ranked = ranked(Partition(p), &nodes);
            assert_eq!(ranked.len(), 9);
            let zones: BTreeSet<_> = ranked[..=FOLLOWERS].iter().map(zone).collect();
            assert_eq!(zones.len(), 3, "{ranked:?}");
            *led.entry(ranked[0].clone()).or_default() += 1;
        }
        assert_eq!(led.len(), 9);
        assert!(led.values().all(|count| (60..150).contains(count)), "{led:?}");
    }

    #[test]
    fn a_node_that_goes_moves_only_what_it_led() {
        let nodes: Vec<NodeRecord> = (0..6).map(|n| node(&format!("n{n}"), "a")).collect();
        for p in 0..100 {
            let before = ranked(Partition(p), &nodes);
            let after = ranked(Partition(p), nodes.iter().filter(|n| n.name != before[3]));
            assert_eq!(before[..3], after[..3]);
        }
        let mut idle = node("x", "a");
        idle.roles = [Role::Worker].into();
        assert!(ranked(Partition(0), [&idle]).is_empty());
    }
}
