//! The host's packet rules: one nftables table per instance, put in place and
//! removed atomically.

use super::cidr::Cidr;
use super::reach::Reach;
use super::tools::{NetworkError, nft};
use super::{GUEST, INTERFACES, Names};
use crate::instance::BLOCK_SLOTS;
use std::collections::BTreeSet;

/// Connections that a sandbox may have at once: as many as Lambda gives a
/// function descriptors. Each takes a place in the host's tracking table, which
/// all sandboxes and the host itself share.
const CONNECTIONS_MAX: u32 = 1024;
/// TCP connections a second that a sandbox may go on opening after that many.
/// The kernel does not count a closed one, yet keeps it in the table for a while.
const TCP_OPENS_PER_SECOND_MAX: u32 = 100;
/// That while, in seconds; 120 is the kernel's own.
const TCP_CLOSED_S: u32 = 10;
/// How long a TCP connection may be silent, in seconds, as behind AWS's NAT
/// gateways. The kernel's own five days are too long for those that a sandbox
/// forgets.
const TCP_SILENT_S: u32 = 350;

/// The verdict on what is out of reach or too much.
pub(super) const REFUSE: &str = "reject with icmp type admin-prohibited";

/// Puts the instance's table in place of any earlier one.
pub(super) fn install(names: &Names, reach: &Reach) -> Result<(), NetworkError> {
    nft(&host(names, reach))
}

/// Removes the table, if it is there.
pub(super) fn remove(table: &str) -> Result<(), NetworkError> {
    // Adding what exists is no error, deleting what does not is one.
    nft(&format!("add table inet {table}\ndelete table inet {table}\n"))
}

/// Adds an uplink on which we turned forwarding on: the host goes on refusing
/// to route between anything but sandboxes and the outside.
pub(super) fn guard(table: &str, uplink: &str) -> Result<(), NetworkError> {
    nft(&format!("add element inet {table} guarded {{ \"{uplink}\" }}\n"))
}

/// Says which networks the host stands in, in place of what was said before.
pub(super) fn set_neighbours(table: &str, networks: &BTreeSet<Cidr>) -> Result<(), NetworkError> {
    let mut script = format!("flush set inet {table} neighbours\n");
    for network in networks {
        script += &format!("add element inet {table} neighbours {{ {network} }}\n");
    }
    nft(&script)
}

fn host(names: &Names, reach: &Reach) -> String {
    let Names { table, interfaces: ours, .. } = names;
    let block = names.block();
    let reach = reach.chain(&format!("ip daddr @neighbours {REFUSE}"));
    format!(
        r#"
add table inet {table}
delete table inet {table}
table inet {table} {{
    set guarded {{ type ifname; }}
    set neighbours {{ type ipv4_addr; flags interval; auto-merge; }}
    set connections {{ type ipv4_addr; size {BLOCK_SLOTS}; flags dynamic; }}
    ct timeout brief {{
        protocol tcp
        l3proto ip
        policy = {{ established: {TCP_SILENT_S}, time_wait: {TCP_CLOSED_S}, close: {TCP_CLOSED_S} }}
    }}
    {reach}
    chain prerouting {{
        # Before anyone's destination NAT: what the sandbox asked for is judged.
        type filter hook prerouting priority raw; policy accept;
        iifname != "{ours}*" accept
        meta nfproto != ipv4 drop
        ip saddr != {block} drop
        fib daddr type != unicast {REFUSE}
        jump reach
    }}
    chain input {{
        type filter hook input priority filter - 10; policy accept;
        iifname "{ours}*" drop
    }}
    chain forward {{
        type filter hook forward priority filter - 10; policy accept;
        iifname "{ours}*" oifname "{INTERFACES}*" drop
        oifname "{ours}*" ct state established,related accept
        oifname "{ours}*" drop
        # Counted here once more, because what a slot's own table has forgotten
        # this one may still hold.
        iifname "{ours}*" ct state new add @connections {{ ip saddr ct count over {CONNECTIONS_MAX} }} {REFUSE}
        iifname "{ours}*" ct state new meta l4proto tcp ct timeout set "brief"
        iifname "{ours}*" tcp flags syn tcp option maxseg size set rt mtu
        iifname @guarded oifname != "{INTERFACES}*" drop
    }}
    chain output {{
        type filter hook output priority filter - 10; policy accept;
        oifname "{ours}*" icmp type {{ destination-unreachable, time-exceeded }} accept
        oifname "{ours}*" drop
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {block} oifname != "{INTERFACES}*" masquerade
    }}
}}
"#
    )
}

/// Rules inside every slot's namespace: they hide the guest's address, keep the
/// namespace itself from answering, bound its connections, and repeat what no
/// sandbox may talk to. Nobody but Hearth touches them, so they stand even if
/// someone flushes the host's ruleset.
pub(super) fn in_slot(reach: &Reach) -> String {
    let reach = reach.chain("");
    format!(
        r#"
table ip slot {{
    {reach}
    chain input {{
        type filter hook input priority filter; policy drop;
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
        iifname "tap0" jump reach
        iifname "tap0" meta l4proto tcp ct state new limit rate over {TCP_OPENS_PER_SECOND_MAX}/second burst {CONNECTIONS_MAX} packets {REFUSE}
        iifname "tap0" ct state new ct count over {CONNECTIONS_MAX} {REFUSE}
        iifname "tap0" oifname "up0" ip saddr {GUEST} accept
        iifname "up0" oifname "tap0" ct state established,related accept
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        oifname "up0" masquerade
    }}
}}
"#
    )
}
