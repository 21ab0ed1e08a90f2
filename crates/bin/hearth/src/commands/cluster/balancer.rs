//! `hearth cluster balancer-config`: what stands before a cluster's front ends.

use super::front_end::FrontEnd;
use super::haproxy;
use crate::output;
use anyhow::ensure;
use std::net::SocketAddr;

/// Arguments of `hearth cluster balancer-config`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs HAProxy 2.6 or later (Debian: haproxy). Write what this prints to /etc/haproxy/haproxy.cfg,
look at it (haproxy -c -f FILE), and have HAProxy read it (systemctl reload haproxy). A front end
that stops or dies is found out by itself; one that is added has to be named here.")]
pub(crate) struct BalancerConfigArgs {
    /// Where clients reach the Lambda API
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:9070")]
    listen: SocketAddr,
    /// A front end, and where the balancer reaches it; name all of them
    #[arg(value_name = "NODE=ADDR:PORT", required = true)]
    front_ends: Vec<FrontEnd>,
}

/// Prints the configuration.
pub(crate) fn run(args: BalancerConfigArgs) -> anyhow::Result<()> {
    output::text(&config(&args)?)
}

fn config(args: &BalancerConfigArgs) -> anyhow::Result<String> {
    for (at, front_end) in args.front_ends.iter().enumerate() {
        let before = &args.front_ends[..at];
        let FrontEnd { node, address } = front_end;
        ensure!(before.iter().all(|b| b.node != *node), "the node {node} is named twice");
        ensure!(before.iter().all(|b| b.address != *address), "{address} is named twice");
    }
    ensure!(args.listen.port() != 0, "the balancer needs a port that clients know");
    Ok(haproxy::config(args.listen, &args.front_ends))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(front_ends: &[&str]) -> anyhow::Result<String> {
        let front_ends = front_ends.iter().map(|text| text.parse().unwrap()).collect();
        config(&BalancerConfigArgs { listen: "127.0.0.1:9070".parse().unwrap(), front_ends })
    }

    #[test]
    fn every_front_end_is_a_server_and_named_once() {
        let text = of(&["a=10.0.0.1:9070", "b=[fd00::2]:9070"]).unwrap();
        for line in ["server a 10.0.0.1:9070", "server b [fd00::2]:9070", "bind 127.0.0.1:9070"] {
            assert!(text.lines().any(|l| l.trim() == line), "{line}: {text}");
        }
        assert!(of(&["a=10.0.0.1:1", "a=10.0.0.2:1"]).is_err());
        assert!(of(&["a=10.0.0.1:1", "b=10.0.0.1:1"]).is_err());
    }
}
