//! The host's packet rules: one nftables table per instance, put in place and
//! removed atomically.

use super::tools::{NetworkError, nft};
use super::{GUEST, INTERFACES, Names, RANGE};

/// What no sandbox may talk to, besides the host's own addresses: "this"
/// network, loopback, link-local (cloud metadata services live there), other
/// sandboxes, multicast, reserved.
const FORBIDDEN: &str = "0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3";

/// Puts the instance's table in place of any earlier one.
pub(super) fn install(names: &Names) -> Result<(), NetworkError> {
    nft(&host(names))
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

/// The verdict on them.
const REFUSE: &str = "reject with icmp type admin-prohibited";

fn host(names: &Names) -> String {
    let Names { table, interfaces: ours, .. } = names;
    let block = names.block();
    format!(
        r#"
add table inet {table}
delete table inet {table}
table inet {table} {{
    set guarded {{ type ifname; }}
    chain prerouting {{
        # Before anyone's destination NAT: what the sandbox asked for is judged.
        type filter hook prerouting priority raw; policy accept;
        iifname != "{ours}*" accept
        meta nfproto != ipv4 drop
        ip saddr != {block} drop
        # Refused rather than dropped: a function should fail at once, not hang.
        fib daddr type != unicast {REFUSE}
        ip daddr {{ {FORBIDDEN}, {RANGE} }} {REFUSE}
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
/// namespace itself from answering, and repeat what no sandbox may talk to.
/// Nobody but Hearth touches them, so they stand even if someone flushes the
/// host's ruleset.
pub(super) fn in_slot() -> String {
    format!(
        r#"
table ip slot {{
    chain input {{
        type filter hook input priority filter; policy drop;
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
        iifname "tap0" ip daddr {{ {FORBIDDEN}, {RANGE} }} {REFUSE}
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
