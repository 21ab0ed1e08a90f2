//! Networks for sandboxes: outbound access to the internet and nothing else.
//!
//! ```text
//!  guest ─ virtio ─ tap0 [ slot's namespace: NAT ] up0 ═ veth ═ hth<b>v<n> [ host: filter, NAT ] ─ uplink
//!  198.19.255.2     .1                      198.18.x.y+1      198.18.x.y
//! ```
//!
//! Every guest has the same address, so every slot has a namespace of its own
//! and translates. Of all that a guest sends, the host's rules (see [`rules`])
//! let through what is for neither the host, nor another sandbox, nor a
//! link-local address, nor a private network or one that the host stands in,
//! unless it is opened (see [`reach`]). 198.18.0.0/15 is set aside by RFC 2544 for
//! benchmarks and routed nowhere: no network that a function wants to reach is
//! hidden.
//!
//! A slot's namespace, tap and veth pair exist only through open descriptors of
//! this process and its VMMs: nothing of them outlives a crash.

mod cidr;
mod conntrack;
mod forwarding;
mod neighbours;
mod reach;
mod resolvers;
mod routes;
mod rules;
mod slot;
mod tools;

pub use cidr::{Cidr, CidrError};
pub(crate) use slot::SlotNetwork;
pub use tools::{NetworkError, PROGRAMS};

use crate::GuestNetwork;
use crate::instance::{BLOCK_SLOTS, Instance};
use crate::traces::Traces;
use forwarding::Forwarding;
use neighbours::Neighbours;
use parking_lot::Mutex;
use reach::Reach;
use slot::Maker;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// The guest's address, prefix and gateway, in the block that no instance uses.
const GUEST: Ipv4Addr = Ipv4Addr::new(198, 19, 255, 2);
const GUEST_GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 19, 255, 1);
const GUEST_PREFIX_BITS: u8 = 30;
/// Where the blocks of all instances begin; a slot takes two addresses.
const RANGE_FIRST: u32 = u32::from_be_bytes([198, 18, 0, 0]);
/// All of it.
const RANGE: &str = "198.18.0.0/15";
/// Interface names of all instances begin so.
const INTERFACES: &str = "hth";

/// How often the host's routes are looked at while sandboxes live.
const ROUTES_INTERVAL: Duration = Duration::from_secs(1);
/// Largest packet where there is no uplink, and at most.
const MTU_MAX: u32 = 1500;

/// Names and addresses of one instance.
#[derive(Clone, Debug)]
struct Names {
    /// Its nftables table.
    table: String,
    /// What its host interfaces' names begin with.
    interfaces: String,
    /// Its first address.
    first: u32,
}

impl Names {
    fn of(instance: &Instance) -> Self {
        Self {
            table: table(instance.id()),
            interfaces: format!("{INTERFACES}{}v", instance.block()),
            first: RANGE_FIRST + instance.block() * BLOCK_SLOTS * 2,
        }
    }

    fn interface(&self, slot: u32) -> String {
        format!("{}{slot}", self.interfaces)
    }

    /// The host's and the namespace's end of a slot's link.
    fn link(&self, slot: u32) -> (Ipv4Addr, Ipv4Addr) {
        (Ipv4Addr::from(self.first + slot * 2), Ipv4Addr::from(self.first + slot * 2 + 1))
    }

    /// All of the instance's addresses.
    fn block(&self) -> String {
        format!("{}/{}", Ipv4Addr::from(self.first), 32 - (BLOCK_SLOTS * 2).trailing_zeros())
    }
}

/// The host's side of all slots' networks.
pub(crate) struct Network {
    names: Names,
    uid_offset: u32,
    mtu: u32,
    dns: Vec<Ipv4Addr>,
    maker: Maker,
    forwarding: Mutex<Forwarding>,
    neighbours: Mutex<Neighbours>,
}

impl Network {
    /// Installs the host's rules, with these closed networks opened. Blocks.
    pub(crate) fn open(instance: &Instance, allowed: &[Cidr]) -> Result<Self, NetworkError> {
        tools::check()?;
        let names = Names::of(instance);
        let mut forwarding = Forwarding::new(instance.traces(), &names.table)?;
        let dns = resolvers::reachable_by_guests();
        let reach = Reach { allowed: allowed.to_vec(), dns: dns.clone() };
        rules::install(&names, &reach)?;
        let mut neighbours = Neighbours::new(&names.table);
        let routes = routes::current()?;
        neighbours.follow(&routes)?;
        forwarding.follow(&routes)?;
        if dns.is_empty() {
            tracing::warn!("no name server that sandboxes could reach is configured on this host");
        }
        let mtu = forwarding.uplinks().filter_map(|uplink| slot::mtu(uplink).ok());
        let mtu = mtu.fold(MTU_MAX, u32::min);
        Ok(Self {
            uid_offset: instance.block() * BLOCK_SLOTS,
            maker: Maker::start(names.clone(), rules::in_slot(&reach), mtu)?,
            mtu,
            dns,
            forwarding: Mutex::new(forwarding),
            neighbours: Mutex::new(neighbours),
            names,
        })
    }

    /// Makes a slot's network.
    pub(crate) async fn prepare(&self, slot: u32) -> Result<SlotNetwork, NetworkError> {
        self.catch_up()?;
        self.maker.make(slot).await
    }

    /// Keeps the rules true to the host's networks, which come and go (a VPN, a
    /// cable) while sandboxes live. Ends with its owner.
    pub(crate) async fn follow_host(self: Arc<Self>) {
        let mut failing = false;
        loop {
            tokio::time::sleep(ROUTES_INTERVAL).await;
            let caught_up = self.catch_up();
            if let Err(error) = &caught_up
                && !failing
            {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "the host's networks have changed, and the rules could not be"
                );
            }
            failing = caught_up.is_err();
        }
    }

    fn catch_up(&self) -> Result<(), NetworkError> {
        // Read under the locks: who comes later must not know less.
        let (mut neighbours, mut forwarding) = (self.neighbours.lock(), self.forwarding.lock());
        let routes = routes::current()?;
        neighbours.follow(&routes)?;
        forwarding.follow(&routes)
    }

    /// Removes a slot's network.
    pub(crate) async fn take_down(&self, network: SlotNetwork) {
        self.maker.take_down(network).await;
    }

    /// What every guest is told.
    pub(crate) fn guest(&self) -> GuestNetwork {
        GuestNetwork {
            address: GUEST,
            prefix_bits: GUEST_PREFIX_BITS,
            gateway: GUEST_GATEWAY,
            dns: self.dns.clone(),
        }
    }

    /// Largest packet, as the uplinks allow.
    pub(crate) fn mtu(&self) -> u32 {
        self.mtu
    }

    /// Where the instance's uids begin, after the first of all.
    pub(crate) fn uid_offset(&self) -> u32 {
        self.uid_offset
    }

    /// Removes the host's rules, and forwarding where it was off before.
    /// Whether nothing of them is left.
    pub(crate) fn close(&self) -> bool {
        let restored = self.forwarding.lock().restore();
        if let Err(error) = &restored {
            tracing::error!(%error, "IP forwarding could not be restored");
        }
        let removed = rules::remove(&self.names.table);
        if let Err(error) = &removed {
            tracing::error!(%error, "the firewall rules could not be removed");
        }
        restored.is_ok() && removed.is_ok()
    }
}

/// Removes what a killed instance left on the host.
pub(crate) fn reap(traces: &Traces) -> Result<(), NetworkError> {
    tools::check()?;
    let table = table(traces.id());
    Forwarding::new(traces, &table)?.restore()?;
    rules::remove(&table)
}

/// An instance's nftables table.
fn table(id: &str) -> String {
    format!("hearth_{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stay_in_the_block() {
        let names =
            Names { table: "t".into(), interfaces: "hth3v".into(), first: RANGE_FIRST + 3072 };
        assert_eq!(names.block(), "198.18.12.0/22");
        assert_eq!(names.link(0), ("198.18.12.0".parse().unwrap(), "198.18.12.1".parse().unwrap()));
        assert_eq!(names.link(511).1, "198.18.15.255".parse::<Ipv4Addr>().unwrap());
        // The kernel's bound on interface names.
        assert!("hth126v511".len() < 16);
    }
}
